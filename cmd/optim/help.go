package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Annotations of flags and commands.
const (
	noteGroup  = "optim_group"  // flag: heading in the help
	noteChoice = "optim_choice" // flag: name of a choice of which one may be set
	noteBelow  = "optim_below"  // flag: set by environment or file, not on the command line
	noteExit   = "exit"         // command: exit statuses besides 0, 1, 2 and 130, comma-separated
	noteSimple = "simple"       // command: reads no configuration file
)

// Headings of flags, in the order of the help; flags without one come first.
const (
	groupData   = "Data"
	groupOutput = "Output"
	groupGate   = "Checks"
	groupGlobal = "Every command"
)

// markGroup gives all flags of fs that have no heading yet this one.
func markGroup(fs *pflag.FlagSet, group string) {
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Annotations[noteGroup] == nil {
			setNote(f, noteGroup, group)
		}
	})
}

func setNote(f *pflag.Flag, key, value string) {
	if f.Annotations == nil {
		f.Annotations = map[string][]string{}
	}
	f.Annotations[key] = []string{value}
}

// note returns an annotation of f, or the empty string.
func note(f *pflag.Flag, key string) string {
	if v := f.Annotations[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// flagGroup is a heading with its flags.
type flagGroup struct {
	title string
	flags *pflag.FlagSet
}

// flagGroups returns the flags of cmd under their headings: its own first, the
// global ones last, the others in order of the heading's name.
func flagGroups(cmd *cobra.Command) []flagGroup {
	sets := map[string]*pflag.FlagSet{}
	add := func(f *pflag.Flag) {
		group := note(f, noteGroup)
		if f.Name == "help" || f.Name == "version" {
			group = groupGlobal
		}
		if sets[group] == nil {
			sets[group] = pflag.NewFlagSet(group, pflag.ContinueOnError)
		}
		sets[group].AddFlag(f)
	}
	cmd.NonInheritedFlags().VisitAll(add)
	cmd.InheritedFlags().VisitAll(add)

	var out []flagGroup
	for _, title := range slices.Sorted(maps.Keys(sets)) {
		shown := title
		if title == "" {
			shown = "Flags"
		}
		if title != groupGlobal && sets[title].HasAvailableFlags() {
			out = append(out, flagGroup{shown, sets[title]})
		}
	}
	if fs := sets[groupGlobal]; fs != nil && fs.HasAvailableFlags() {
		out = append(out, flagGroup{groupGlobal, fs})
	}
	return out
}

// printHelp writes the help of cmd to standard output.
func printHelp(a *app, cmd *cobra.Command) {
	width := a.Width
	if width == 0 {
		width = 100
	}
	w := cmd.OutOrStdout()
	text := cmd.Long
	if text == "" {
		text = cmd.Short
	}
	fmt.Fprintf(w, "%s\n\nUSAGE\n  %s\n", strings.TrimSpace(text), useLine(cmd))
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(w, "\nCOMMANDS\n")
		printCommands(w, cmd)
	}
	if cmd.Example != "" {
		fmt.Fprintf(w, "\nEXAMPLES\n%s\n", cmd.Example)
	}
	for _, g := range flagGroups(cmd) {
		fmt.Fprintf(w, "\n%s\n%s", strings.ToUpper(g.title), g.flags.FlagUsagesWrapped(width))
	}
	fmt.Fprintf(w, "\nEXIT STATUS\n")
	for _, code := range exitStatuses(cmd) {
		fmt.Fprintf(w, "  %3d  %s\n", code, exitMeaning[code])
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(w, "\nUse \"%s help COMMAND\" for more about a command.\n", cmd.Root().Name())
	}
}

func printCommands(w io.Writer, cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() || c.Name() == "help" {
			fmt.Fprintf(w, "  %-12s %s\n", c.Name(), c.Short)
		}
	}
}

// useLine returns the usage line of cmd; commands with arguments name them.
func useLine(cmd *cobra.Command) string {
	if !cmd.Runnable() || cmd.HasAvailableSubCommands() {
		return cmd.CommandPath() + " COMMAND [flags]"
	}
	return cmd.UseLine()
}

// exitStatuses returns the statuses that cmd may end with.
func exitStatuses(cmd *cobra.Command) []exitCode {
	codes := []exitCode{exitOK, exitFailure, exitUsage}
	names := map[string]exitCode{"3": exitBadInput, "4": exitLimit, "5": exitRuntime}
	if !cmd.HasParent() {
		codes = append(codes, exitBadInput, exitLimit, exitRuntime)
	}
	for _, s := range strings.Split(cmd.Annotations[noteExit], ",") {
		if code, ok := names[s]; ok {
			codes = append(codes, code)
		}
	}
	return append(codes, exitInterrupted)
}

// newHelpCmd returns "optim help [COMMAND]", which refuses unknown topics.
func newHelpCmd() *cobra.Command {
	return &cobra.Command{
		Use:               "help [COMMAND]",
		Short:             "Help about a command",
		Annotations:       map[string]string{noteSimple: "yes"},
		ValidArgsFunction: completeCommand,
		RunE: func(cmd *cobra.Command, args []string) error {
			target, rest, err := cmd.Root().Find(args)
			if err != nil {
				return err
			}
			if len(rest) > 0 {
				if err := unknownCommand(target, rest); err != nil {
					return err
				}
			}
			target.InitDefaultHelpFlag()
			return target.Help()
		},
	}
}
