package report

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// Text implements Report.
func (p *Plan) Text(w io.Writer, s Style) error {
	if s.Quiet {
		_, err := fmt.Fprintf(w, "%s would change, %s\n", plural(len(p.Plan), "node"), formatBytes(p.Output.Bytes))
		return err
	}
	if _, err := fmt.Fprintf(w, "plan for %s\n\n", clean(filepath.Base(p.Input))); err != nil {
		return err
	}
	g := p.steps()
	if err := g.text(w, s); err != nil {
		return err
	}
	f := p.facts(s.Verbose)
	fmt.Fprintln(w)
	if err := f.text(w, s); err != nil {
		return err
	}
	if s.Verbose {
		if err := putUnchanged(p.Unchanged, func(title string, g *grid) error {
			fmt.Fprintf(w, "\n%s\n", title)
			return g.text(w, s)
		}); err != nil {
			return err
		}
	}
	if len(p.Warnings) > 0 {
		fmt.Fprintln(w)
		if err := notes(w, s, p.Warnings); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\nnothing written: this is a dry run\n")
	return err
}

// Markdown implements Report.
func (p *Plan) Markdown(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "### optim %s: plan for %s\n\n", p.Command,
		escapeMarkdown(filepath.Base(p.Input))); err != nil {
		return err
	}
	g := p.steps()
	if err := g.markdown(w); err != nil {
		return err
	}
	if err := p.facts(false).markdown(w); err != nil {
		return err
	}
	return markdownNotes(w, p.Warnings)
}

func (p *Plan) steps() *grid {
	g := &grid{head: []string{"node", "operator", "action", "format", ">before", ">after"}}
	for _, st := range p.Plan {
		before, after := "", "" // an operator without weights has none to change
		if st.BytesBefore > 0 || st.BytesAfter > 0 {
			before, after = formatBytes(st.BytesBefore), formatBytes(st.BytesAfter)
		}
		g.add(st.Node, st.Op, st.Action, st.Format, before, after)
	}
	return g
}

func (p *Plan) facts(all bool) *facts {
	f := &facts{}
	limit := kindsShown
	if all {
		limit = 0
	}
	var before, after int64
	for _, st := range p.Plan {
		before, after = before+st.BytesBefore, after+st.BytesAfter
	}
	if before+after > 0 {
		f.add("weights", "%s → %s   %s", formatBytes(before), formatBytes(after), formatChange(before, after))
	}
	if len(p.Unchanged) > 0 {
		f.add("unchanged", "%s", unchanged(p.Unchanged))
		f.more(tally(reasonKinds(p.Unchanged), limit))
	}
	var output []string
	if p.Output.Path != "" {
		output = append(output, p.Output.Path)
	}
	if p.Output.Bytes > 0 { // an engine's size nobody knows before
		output = append(output, "about "+formatBytes(p.Output.Bytes))
	}
	f.add("output", "%s", strings.Join(output, ", "))
	f.add("settings", "%s", p.Config)
	return f
}
