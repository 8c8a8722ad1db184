package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// completeWords lets the shell complete the values of flags that take one of a
// few words, for root and its commands.
func completeWords(root *cobra.Command) {
	for _, cmd := range append(root.Commands(), root) {
		register := func(f *pflag.Flag) {
			if e, ok := f.Value.(*enumValue); ok {
				// It fails for a name that is no flag, or one that is registered already.
				if err := cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(e.valid, cobra.ShellCompDirectiveNoFileComp)); err != nil {
					panic("optim: completion: " + err.Error())
				}
			}
		}
		cmd.Flags().VisitAll(register)
		cmd.PersistentFlags().VisitAll(register)
	}
}

// completeModel lets the shell complete the one model that a command takes.
func completeModel(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return []string{"onnx"}, cobra.ShellCompDirectiveFilterFileExt
}

// completeCommand lets the shell complete the name of a command.
func completeCommand(cmd *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
	if len(args) == 0 {
		for _, c := range cmd.Root().Commands() {
			if c.IsAvailableCommand() {
				names = append(names, c.Name()+"\t"+c.Short)
			}
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
