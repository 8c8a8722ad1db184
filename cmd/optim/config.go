package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

const (
	configName = "optim.yaml"
	configMax  = 1 << 20 // bytes; far above any real file
	// configSep parts nested keys; no key of a YAML file that a person writes
	// holds it, so that a key with a dot stays one key.
	configSep = "\x1f"
)

// refusedKeys may not be set by a configuration file that was found by itself:
// a cloned repository must not choose what is loaded or overwritten. A key that
// means something else for other commands stands with its own.
var refusedKeys = []string{
	"ort-lib", "trt-lib", "custom-ops", "plugins", "cache-dir", "output", "force",
	"summary", "plot", "histogram", "report", "csv", "bench: samples",
}

// configure gives every flag of cmd that was not set on the command line its
// value from the environment, else from the configuration file.
func (a *app) configure(cmd *cobra.Command) error {
	settings := viper.NewWithOptions(viper.KeyDelimiter(configSep))
	settings.SetEnvPrefix("OPTIM")
	settings.SetEnvKeyReplacer(strings.NewReplacer("-", "_"))
	settings.AutomaticEnv()

	if a.config == "" {
		a.config = settings.GetString("config")
	}
	file, err := a.readConfig(cmd)
	if err != nil {
		return err
	}
	if file != nil {
		if err := checkConfig(a, cmd.Root(), file); err != nil {
			return err
		}
	}
	taken := chosen(cmd.Flags(), nil)
	if err := applyEnv(cmd, settings, taken); err != nil {
		return err
	}
	return a.applyFile(cmd, file, chosen(cmd.Flags(), taken))
}

// readConfig reads the configuration file: --config, else optim.yaml of the
// working folder where there is one. It returns nil where there is none.
func (a *app) readConfig(cmd *cobra.Command) (map[string]any, error) {
	name := a.config
	if name == "" {
		if simple(cmd) {
			return nil, nil
		}
		name, a.configAuto = configName, true
	}
	if info, err := os.Stat(name); err == nil && a.configAuto && !info.Mode().IsRegular() {
		// A pipe may be named; one that was found by itself is not waited for.
		return nil, usagef("configuration %q: not a regular file", name)
	}
	f, err := os.Open(name)
	if a.configAuto && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, usagef("configuration: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, configMax+1))
	if err != nil {
		return nil, usagef("configuration: %w", err)
	}
	if len(text) > configMax {
		return nil, usagef("configuration %q: more than %d bytes", name, configMax)
	}
	v := viper.NewWithOptions(viper.KeyDelimiter(configSep))
	v.SetConfigType("yaml")
	if err := v.ReadConfig(bytes.NewReader(text)); err != nil {
		if inner := errors.Unwrap(err); inner != nil {
			err = inner // without viper's "While parsing config"
		}
		return nil, usagef("configuration %q: %s", name, strings.Join(strings.Fields(err.Error()), " "))
	}
	a.configFile = name
	return nest(v), nil
}

// simple reports whether cmd or a command above it reads no configuration.
func simple(cmd *cobra.Command) bool {
	for c := cmd; c != nil; c = c.Parent() {
		if c.Annotations[noteSimple] != "" || c.Name() == "completion" ||
			strings.HasPrefix(c.Name(), "__complete") {
			return true
		}
	}
	return !cmd.HasParent() // bare "optim" prints its help
}

// nest returns all settings of v, those without a value included.
func nest(v *viper.Viper) map[string]any {
	out := map[string]any{}
	for _, path := range v.AllKeys() {
		section, key, nested := strings.Cut(path, configSep)
		if !nested {
			out[section] = v.Get(path)
			continue
		}
		key, _, _ = strings.Cut(key, configSep)
		m, ok := out[section].(map[string]any)
		if !ok {
			m = map[string]any{}
			out[section] = m
		}
		m[key] = v.Get(section + configSep + key)
	}
	return out
}

// checkConfig refuses unknown sections and keys, and in a file found by itself
// the keys that may not stand there. All sections are checked, not only that
// of the running command.
func checkConfig(a *app, root *cobra.Command, file map[string]any) error {
	sections := map[string]*cobra.Command{}
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() && !simple(c) {
			sections[c.Name()] = c
		}
	}
	for _, name := range sortedKeys(file) {
		cmd := sections[name]
		if cmd == nil {
			err := usagef("configuration %q: unknown key %q", a.configFile, name)
			return withHint(err, "flags stand under the name of their command: %s",
				strings.Join(sortedKeys(sections), ", "))
		}
		section, ok := file[name].(map[string]any)
		if !ok && file[name] != nil {
			return usagef("configuration %q: %q must hold flags and their values", a.configFile, name)
		}
		for _, key := range sortedKeys(section) {
			if err := checkKey(a, cmd, name, key); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkKey(a *app, cmd *cobra.Command, section, key string) error {
	valid := configKeys(cmd)
	full := section + ": " + key
	if a.configAuto && (slices.Contains(refusedKeys, key) || slices.Contains(refusedKeys, full)) {
		err := usagef("configuration %q: %q may not be set by a file that was found by itself", a.configFile, full)
		return withHint(err, "give --%s, set %s, or name the file with --config %s",
			key, envName(key), a.configFile)
	}
	if !slices.Contains(valid, key) {
		err := usagef("configuration %q: unknown key %q under %q", a.configFile, key, section)
		if near := nearest(key, valid); near != "" {
			return withHint(err, "did you mean %q? valid keys: %s", near, strings.Join(valid, ", "))
		}
		return withHint(err, "valid keys: %s", strings.Join(valid, ", "))
	}
	return nil
}

// configKeys returns the flags of cmd that a configuration file may set.
func configKeys(cmd *cobra.Command) []string {
	var keys []string
	add := func(f *pflag.Flag) {
		if f.Name != "help" && f.Name != "config" && f.Name != "version" && !f.Hidden {
			keys = append(keys, f.Name)
		}
	}
	cmd.NonInheritedFlags().VisitAll(add)
	cmd.InheritedFlags().VisitAll(add)
	slices.Sort(keys)
	return keys
}

// envName returns the environment variable of a flag.
func envName(flag string) string {
	return "OPTIM_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// given reports whether a flag stands on the command line. One that means
// nothing is refused there; a setting of environment or file is for many runs,
// and those that have no use for it go without.
func given(flags *pflag.FlagSet, name string) bool {
	f := flags.Lookup(name)
	return f.Changed && note(f, noteBelow) == ""
}

// chosen returns the choices (see noteChoice) that the flags set so far make,
// added to those in base.
func chosen(flags *pflag.FlagSet, base map[string]bool) map[string]bool {
	out := map[string]bool{}
	for c := range base {
		out[c] = true
	}
	flags.VisitAll(func(f *pflag.Flag) {
		if c := note(f, noteChoice); c != "" && f.Changed {
			out[c] = true
		}
	})
	return out
}

// choose declares that at most one of the named flags may be set. A flag of the
// command line does away with what environment or file choose.
func choose(flags *pflag.FlagSet, choice string, names ...string) {
	for _, name := range names {
		setNote(flags.Lookup(name), noteChoice, choice)
	}
}

// checkChoices refuses two flags of one choice.
func checkChoices(flags *pflag.FlagSet) error {
	first := map[string]string{}
	var failed error
	flags.VisitAll(func(f *pflag.Flag) {
		choice := note(f, noteChoice)
		if choice == "" || !f.Changed || f.Value.Type() == "bool" && f.Value.String() == "false" {
			return
		}
		if other, taken := first[choice]; taken && failed == nil {
			failed = usagef("--%s and --%s exclude each other", other, f.Name)
		}
		first[choice] = f.Name
	})
	return failed
}

// applyEnv sets the flags that the environment gives. A choice that a higher
// level made is not made again.
func applyEnv(cmd *cobra.Command, settings *viper.Viper, taken map[string]bool) error {
	var failed error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		value := settings.GetString(f.Name)
		if failed != nil || value == "" || f.Changed || taken[note(f, noteChoice)] ||
			f.Name == "help" || f.Name == "version" {
			return
		}
		if err := cmd.Flags().Set(f.Name, value); err != nil {
			failed = usagef("environment %s: %w", envName(f.Name), valueError(err))
		}
		setNote(f, noteBelow, "yes")
	})
	return failed
}

// applyFile sets the flags that the configuration file gives.
func (a *app) applyFile(cmd *cobra.Command, file map[string]any, taken map[string]bool) error {
	section, _ := file[cmd.Name()].(map[string]any)
	for _, key := range sortedKeys(section) {
		f := cmd.Flags().Lookup(key)
		if f == nil || f.Changed || taken[note(f, noteChoice)] || section[key] == nil {
			continue
		}
		values, err := configValues(section[key])
		if err != nil {
			return usagef("configuration %q: %s: %s: %w", a.configFile, cmd.Name(), key, err)
		}
		if f.Value.Type() != "stringArray" {
			values = []string{strings.Join(values, ",")}
		}
		for _, v := range values {
			if err := cmd.Flags().Set(key, v); err != nil {
				return usagef("configuration %q: %s: %w", a.configFile, cmd.Name(), valueError(err))
			}
		}
		setNote(f, noteBelow, "yes")
	}
	return nil
}

// configValues returns a value of a configuration file as text: one for a
// plain value, several for a list.
func configValues(v any) ([]string, error) {
	switch v := v.(type) {
	case []any:
		var out []string
		for _, e := range v {
			one, err := configValues(e)
			if err != nil || len(one) != 1 {
				return nil, errors.New("a list must hold plain values")
			}
			out = append(out, one...)
		}
		return out, nil
	case map[string]any, map[any]any:
		return nil, errors.New("must be a value or a list, not a map")
	}
	return []string{fmt.Sprint(v)}, nil
}
