package gate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"optim/internal/inspect"
	"optim/internal/onnx"
)

// OutputError is a target that cannot be written: an error of usage.
type OutputError struct {
	Path, Reason string
	Hint         string // what to do; may be empty
}

func (e *OutputError) Error() string { return fmt.Sprintf("output %q %s", e.Path, e.Reason) }

// Target is the file to write, with Path+".data" beside it where there is
// external data.
type Target struct {
	Path     string
	Force    bool   // an older file may be replaced
	External string // auto, always, never
}

func (t Target) data() string { return t.Path + ".data" }

// Check refuses a target that must not or cannot be written, before any work.
// inputs are the files that are read: writing over them would destroy them. The
// error is an *OutputError.
func (t Target) Check(inputs []string) error {
	for _, file := range []string{t.Path, t.data()} {
		for _, in := range inputs {
			if SameFile(file, in) {
				return &OutputError{file, fmt.Sprintf("would overwrite the input %q", in), "choose another name with --output FILE"}
			}
		}
	}
	if err := t.free(t.Path); err != nil {
		return err
	}
	if t.External == "always" {
		if err := t.free(t.data()); err != nil {
			return err
		}
	}
	return t.checkFolder()
}

// free reports a file that stands in the way. Of a symbolic link the link
// counts, whatever it leads to: it is what renaming replaces.
func (t Target) free(file string) error {
	info, err := os.Lstat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return &OutputError{file, "cannot be written: " + reason(err), ""}
	case info.IsDir():
		return &OutputError{file, "is a folder", "name a file with --output FILE"}
	case !info.Mode().IsRegular() && (info.Mode()&fs.ModeSymlink == 0 || leadsToDevice(file)):
		return &OutputError{file, "is not a regular file", "name a file with --output FILE"}
	case !t.Force:
		return &OutputError{file, "exists", "give --force to overwrite it"}
	}
	return nil
}

// leadsToDevice reports whether a link, such as /dev/stdout, leads to something
// that is neither a file nor a folder. Whoever names it does not want it
// replaced.
func leadsToDevice(link string) bool {
	info, err := os.Stat(link)
	return err == nil && !info.Mode().IsRegular() && !info.IsDir()
}

// checkFolder reports a folder in which no file can be made.
func (t Target) checkFolder() error {
	folder := filepath.Dir(t.Path)
	info, err := os.Stat(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &OutputError{t.Path, fmt.Sprintf("cannot be written: folder %q does not exist", folder), ""}
	case err == nil && !info.IsDir():
		return &OutputError{t.Path, fmt.Sprintf("cannot be written: %q is no folder", folder), ""}
	case err == nil:
		err = writable(folder)
	}
	if err != nil {
		return &OutputError{t.Path, fmt.Sprintf("cannot be written: folder %q: %s", folder, reason(err)), ""}
	}
	return nil
}

// ownsData reports whether the model that stands at the target keeps its
// weights in the target's data file, which then goes with it.
func (t Target) ownsData() bool {
	old, err := onnx.Open(t.Path)
	if err != nil {
		return false // no model: what lies beside it is not ours
	}
	defer old.Close()
	files, err := inspect.Files(old)
	if err != nil {
		return false
	}
	for _, f := range files {
		if f != old.Path && SameFile(f, t.data()) {
			return true
		}
	}
	return false
}

// SameFile reports whether two paths name one file; either may not exist.
func SameFile(a, b string) bool {
	absA, errA := filepath.Abs(a)
	absB, errB := filepath.Abs(b)
	if errA == nil && errB == nil && absA == absB {
		return true
	}
	ia, errA := os.Stat(a)
	ib, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(ia, ib)
}

// reason strips what the message around it names already.
func reason(err error) string {
	var path *fs.PathError
	var link *os.LinkError
	var call *os.SyscallError
	switch {
	case errors.As(err, &path):
		return path.Err.Error()
	case errors.As(err, &link):
		return link.Err.Error()
	case errors.As(err, &call):
		return call.Err.Error()
	}
	return err.Error()
}
