package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newManCmd returns the hidden command that writes the manual pages: it is
// for who packages optim, so it is not among the commands of the help.
func newManCmd(*app) *cobra.Command {
	return &cobra.Command{
		Use:         "man FOLDER",
		Short:       "Write the manual pages into a folder",
		Example:     "  optim man share/man/man1",
		Hidden:      true,
		Annotations: map[string]string{noteSimple: "yes"},
		Args: func(_ *cobra.Command, args []string) error {
			_, err := oneModel("FOLDER", args)
			return err
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o777); err != nil {
				return err
			}
			return writeManPages(cmd.Root(), args[0])
		},
	}
}

// writeManPages writes a page for cmd and each command below it.
func writeManPages(cmd *cobra.Command, folder string) error {
	cmd.InitDefaultHelpFlag()
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
	if err := os.WriteFile(filepath.Join(folder, name), manPage(cmd), 0o666); err != nil {
		return err
	}
	for _, c := range cmd.Commands() {
		if !c.IsAvailableCommand() {
			continue
		}
		if err := writeManPages(c, folder); err != nil {
			return err
		}
	}
	return nil
}

// manPage returns the manual page of cmd in the man macros (man(7)).
func manPage(cmd *cobra.Command) []byte {
	var b bytes.Buffer
	path := cmd.CommandPath()
	fmt.Fprintf(&b, ".TH %q 1 \"\" %q\n", strings.ToUpper(strings.ReplaceAll(path, " ", "-")), "optim "+version)
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(strings.ReplaceAll(path, " ", "-")), roff(cmd.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(useLine(cmd)))
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	fmt.Fprintf(&b, ".SH DESCRIPTION\n%s\n", roff(text))
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, ".SH COMMANDS\n")
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(c.Name()), roff(c.Short))
			}
		}
	}
	for _, g := range flagGroups(cmd) {
		fmt.Fprintf(&b, ".SH %s\n", roff(strings.ToUpper(g.title)))
		g.flags.VisitAll(func(f *pflag.Flag) { manFlag(&b, f) })
	}
	if cmd.Example != "" {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(cmd.Example))
	}
	fmt.Fprintf(&b, ".SH EXIT STATUS\n")
	for _, code := range exitStatuses(cmd) {
		fmt.Fprintf(&b, ".TP\n.B %d\n%s\n", code, roff(exitMeaning[code]))
	}
	return b.Bytes()
}

func manFlag(b *bytes.Buffer, f *pflag.Flag) {
	if f.Hidden {
		return
	}
	kind, usage := pflag.UnquoteUsage(f)
	head := "--" + f.Name
	if f.Shorthand != "" {
		head = "-" + f.Shorthand + ", " + head
	}
	if kind != "" {
		head += " " + kind
	}
	fmt.Fprintf(b, ".TP\n.B %s\n%s", roff(head), roff(usage))
	if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" && f.DefValue != "0" {
		fmt.Fprintf(b, " (default %s)", roff(f.DefValue))
	}
	b.WriteByte('\n')
}

// roff escapes text for troff: backslashes, minus signs, and lines that begin
// with a control character.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}
