package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const rootLong = `optim makes ONNX models smaller and faster: it quantizes them, loads the result
in ONNX Runtime, compares it with the source, and hands over only what holds; and
it measures them. It is one binary and needs no Python.`

// newRootCmd returns the command tree. A new command is one line here.
func newRootCmd(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:           "optim",
		Short:         "Make ONNX models smaller and faster",
		Long:          rootLong,
		Version:       buildVersion().String(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          unknownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return a.prepare(cmd)
		},
	}
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(flagError)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { printHelp(a, cmd) })
	root.SetHelpCommand(newHelpCmd())
	root.CompletionOptions.HiddenDefaultCmd = false
	a.globalFlags(root.PersistentFlags())
	root.AddCommand(commands(a)...)
	completeWords(root)
	return root
}

// commands lists the subcommands in the order of the help.
func commands(a *app) []*cobra.Command {
	return []*cobra.Command{
		newQuantizeCmd(a),
		newPruneCmd(a),
		newBuildEngineCmd(a),
		newDistillCmd(a),
		newEvalCmd(a),
		newBenchCmd(a),
		newInspectCmd(a),
		newDoctorCmd(a),
		newVersionCmd(a),
		newManCmd(a),
	}
}

// globalFlags registers the flags that every command has.
func (a *app) globalFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&a.json, "json", false, "print one JSON object on stdout and nothing else there")
	fs.StringVar(&a.summary, "summary", "", "append the report as Markdown to this `file`")
	fs.BoolVar(&a.quiet, "quiet", false, "print the least: no progress, no notes, one line of result")
	fs.BoolVar(&a.verbose, "verbose", false, "print full lists")
	fs.StringVar(&a.config, "config", "", "read settings from this `file` (default: optim.yaml of the working folder)")
	fs.IntVar(&a.threads, "threads", 0, "threads to compute with; 0: one for each core")
	fs.StringVar(&a.ortLib, "ort-lib", "", "ONNX Runtime library `file` to load")
	fs.StringVar(&a.customOps, "custom-ops", "", "`library` of custom operators to register")
	fs.StringVar(&a.cacheDir, "cache-dir", "", "`folder` for the unpacked runtime library and calibrations (default: the user's cache folder)")
	fs.BoolVar(&a.noProgress, "no-progress", false, "show no progress")
	enumVar(fs, &a.color, "color", "auto", "when to colour the output", "auto", "always", "never")
	choose(fs, "amount", "quiet", "verbose")
	markGroup(fs, groupGlobal)
}

// unknownCommand refuses arguments of the root command, which has none.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := usagef("unknown command %q", args[0])
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	if near := nearest(args[0], names); near != "" {
		return withHint(err, "did you mean %q?", near)
	}
	if len(names) == 0 {
		return withHint(err, "%q has no commands", cmd.CommandPath())
	}
	return withHint(err, "commands: %s", strings.Join(names, ", "))
}

// fewFlags is how many flags an error lists; of more, nobody reads the list.
const fewFlags = 20

// flagError words the flag errors of pflag, naming what is valid.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return &exitError{code: exitUsage, err: valueError(err)}
	}
	name := "--" + unknown.GetSpecifiedName()
	if unknown.GetSpecifiedShortnames() != "" {
		name = "-" + unknown.GetSpecifiedName()
	}
	var valid []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			valid = append(valid, "--"+f.Name)
		}
	})
	slices.Sort(valid)
	unknownFlag := usagef("unknown flag %q of %q", name, cmd.CommandPath())
	if near := nearest(name, valid); near != "" {
		return withHint(unknownFlag, "did you mean %s? \"%s --help\" lists all", near, cmd.CommandPath())
	}
	if len(valid) > fewFlags {
		return withHint(unknownFlag, "\"%s --help\" lists the valid flags", cmd.CommandPath())
	}
	return withHint(unknownFlag, "valid flags: %s", strings.Join(valid, ", "))
}

// valueError words the error of a flag's value that is no number or no truth
// value: strconv's names its own functions.
func valueError(err error) error {
	var bad *pflag.InvalidValueError
	var parse *strconv.NumError
	if !errors.As(err, &bad) {
		return err
	}
	if bad.GetFlag().Value.Type() == "duration" {
		return fmt.Errorf("--%s must be a time such as 5s, 500ms or 2m, not %q", bad.GetFlag().Name, bad.GetValue())
	}
	if !errors.As(err, &parse) {
		return err
	}
	want := "a whole number"
	switch bad.GetFlag().Value.Type() {
	case "bool":
		want = "true or false"
	case "float64":
		want = "a number"
	}
	if errors.Is(parse.Err, strconv.ErrRange) {
		want += " of usual size"
	}
	return fmt.Errorf("--%s must be %s, not %q", bad.GetFlag().Name, want, bad.GetValue())
}

// nearest returns the name closest to what was typed, or the empty string
// where none is close: a third of the letters may differ.
func nearest(typed string, names []string) string {
	best, limit := "", max(1, len(typed)/3)
	for _, name := range names {
		if d := editDistance(strings.ToLower(typed), name); d <= limit {
			best, limit = name, d-1
		}
	}
	return best
}

// editDistance returns the Levenshtein distance of a and b in bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
