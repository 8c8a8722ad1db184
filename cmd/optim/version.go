package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"optim/internal/report"
)

// version is the release; the linker may set it (-X main.version=1.2.3).
var version = "0.1.0"

// versionInfo is the result of "optim version".
type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

// buildVersion reads what the Go tool recorded in this binary.
func buildVersion() versionInfo {
	v := versionInfo{Version: version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, s := range b.Settings {
			switch s.Key {
			case "vcs.revision":
				v.Revision = s.Value[:min(12, len(s.Value))]
			case "vcs.modified":
				v.Modified = s.Value == "true"
			}
		}
	}
	return v
}

func (v versionInfo) String() string {
	s := "optim " + v.Version
	if v.Revision != "" {
		s += " (" + v.Revision
		if v.Modified {
			s += ", modified"
		}
		s += ")"
	}
	return s + " " + v.Go + " " + v.OS + "/" + v.Arch
}

// Text implements report.Report.
func (v versionInfo) Text(w io.Writer, _ report.Style) error {
	_, err := fmt.Fprintln(w, v)
	return err
}

// Markdown implements report.Report.
func (v versionInfo) Markdown(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%s\n\n", v)
	return err
}

func newVersionCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:         "version",
		Short:       "Print the version of this binary",
		Long:        "Print the version of this binary. No library is loaded; \"optim doctor\" tells\nthe version of ONNX Runtime.",
		Example:     "  optim version\n  optim version --json",
		Annotations: map[string]string{noteSimple: "yes"},
		Args:        noArgs,
		RunE:        func(*cobra.Command, []string) error { return a.emit(buildVersion()) },
	}
}

// noArgs refuses positional arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%q takes no argument, not %q", cmd.CommandPath(), args[0])
	}
	return nil
}
