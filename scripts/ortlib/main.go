// Command ortlib gets ONNX Runtime's shared library for the build. It is run
// from the repository's root:
//
//	go run ./scripts/ortlib fetch [-archive FILE]   fill lib/ as scripts/ort.lock says
//	go run ./scripts/ortlib pack                    compress it for the build tag embedort
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

const (
	lockFile = "scripts/ort.lock"
	libDir   = "lib"
	packDir  = "internal/ort/embedded"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "ortlib: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 || (args[0] != "fetch" && args[0] != "pack") {
		return fmt.Errorf("usage: ortlib fetch [-archive FILE] | pack")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	archive := flags.String("archive", "", "take this archive, downloaded before, instead of the registry's")
	target := flags.String("platform", runtime.GOOS+"/"+runtime.GOARCH, "GOOS/GOARCH to get the library for")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	f, err := os.Open(lockFile)
	if err != nil {
		return err
	}
	defer f.Close()
	l, err := parseLock(f)
	if err != nil {
		return fmt.Errorf("%s: %w", lockFile, err)
	}
	list := l.platform(*target)
	if len(list) == 0 {
		return fmt.Errorf("%s has no library for %s; put one of version %s into %s/", lockFile, *target, l.Version, libDir)
	}
	if args[0] == "fetch" {
		return runFetch(list, *archive)
	}
	return runPack(list, l.Version)
}

func runFetch(list []candidate, archive string) error {
	get := download(fromRegistry)
	if archive != "" {
		get = fromFile(archive)
	}
	path, fresh, err := fetch(list, libDir, get)
	if err != nil {
		return fmt.Errorf("no library could be fetched:\n%w", err)
	}
	if fresh {
		fmt.Printf("ortlib: fetched %s\n", path)
	}
	return nil
}

func runPack(list []candidate, version string) error {
	for _, c := range list {
		path := filepath.Join(libDir, c.File)
		if sum, err := hashFile(path); err != nil || sum != c.LibrarySHA256 {
			continue
		}
		fresh, err := pack(path, version, packDir)
		if err == nil && fresh {
			fmt.Printf("ortlib: packed %s\n", path)
		}
		return err
	}
	return fmt.Errorf("%s/ has no library with a hash of %s: run `make lib`", libDir, lockFile)
}
