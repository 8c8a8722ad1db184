package report

import (
	"fmt"
	"slices"

	"optim/internal/bench"
	"optim/internal/bench/profile"
)

// How many operators and nodes of a profile are listed without --verbose.
const (
	operatorsOfProfile = 8
	nodesOfProfile     = 10
)

// profiles tells for each row where its time goes.
func (b *Bench) profiles() []*section {
	var out []*section
	for i := range b.Models {
		m := &b.Models[i]
		if p := m.Profile; p != nil && len(p.Nodes) > 0 {
			name := m.Name + b.settings(m)
			out = append(out, operators(name, p), slowest(name, p))
		}
	}
	return out
}

// allNodes lists the nodes of profiles that are not shown already.
func (b *Bench) allNodes() []*section {
	var out []*section
	for i := range b.Models {
		m := &b.Models[i]
		if p := m.Profile; p != nil && len(p.Nodes) > nodesOfProfile {
			out = append(out, nodeTimes("all nodes of "+m.Name+b.settings(m), p, p.Nodes))
		}
	}
	return out
}

// profileUnit is the unit of the times in a profile: that of its slowest node.
func profileUnit(p *profile.Profile) unit { return timeUnit([]float64{p.Nodes[0].MS}) }

func operators(name string, p *profile.Profile) *section {
	u := profileUnit(p)
	sec := &section{title: "operators of " + name + ", " + u.name, keys: 1,
		grid: grid{head: []string{"operator", ">nodes", ">time", ">share", "provider"}}}
	rest, nodes := 0.0, 0
	for i, o := range p.Operators {
		if i >= operatorsOfProfile && len(p.Operators) > operatorsOfProfile+1 {
			rest, nodes = rest+o.MS, nodes+o.Nodes
			continue
		}
		sec.grid.add(o.Op, formatCount(int64(o.Nodes)), u.format(o.MS), percent(&o.Share, 1), o.Provider)
	}
	if nodes > 0 {
		part := rest / p.KernelMS
		sec.grid.add(plural(len(p.Operators)-operatorsOfProfile, "other"), formatCount(int64(nodes)), u.format(rest), percent(&part, 1), "")
	}
	sec.lines = []string{kernelLine(p)}
	if p.CouldBeInteger > 0 {
		sec.lines = append(sec.lines, fmt.Sprintf("%s of that in float products that could be integer: see optim quantize", share(&p.CouldBeInteger)))
	}
	return sec
}

// kernelLine compares the kernels with a run that was not profiled.
func kernelLine(p *profile.Profile) string {
	line := fmt.Sprintf("kernels take %s of a run of %s (medians of %s", duration(p.KernelMS), duration(p.RunMS), plural(p.Runs, "run"))
	if p.KernelMS > p.RunMS {
		line = fmt.Sprintf("kernels take %s with the profiler, a whole run %s without (medians of %s each: the profiled runs were slower, as on a busy machine",
			duration(p.KernelMS), duration(p.RunMS), plural(p.Runs, "run"))
	}
	return fmt.Sprintf("%s); what the profiler adds, %s µs a call, is taken off", line, significant(1000*p.ProfilerMS, 2))
}

// slowest lists the nodes that take most time.
func slowest(name string, p *profile.Profile) *section {
	return nodeTimes("slowest nodes of "+name, p, p.Nodes[:min(nodesOfProfile, len(p.Nodes))])
}

func nodeTimes(title string, p *profile.Profile, nodes []profile.Node) *section {
	u := profileUnit(p)
	sec := &section{title: title + ", " + u.name, keys: 1,
		grid: grid{head: []string{"node", "operator", ">time", ">share", ""}}}
	for _, n := range nodes {
		note := ""
		if n.CouldBeInteger {
			note = "could be integer"
		}
		sec.grid.add(n.Name, n.Op, u.format(n.MS), percent(&n.Share, 1), note)
	}
	sec.dropEmpty()
	return sec
}

// cost is the arithmetic of a run and how near to the machine's peak it came.
func (b *Bench) cost() *section {
	sec := b.table("arithmetic of a run", []column{
		{">multiply-adds", func(m *bench.Row) string {
			if m.MACs == nil {
				return ""
			}
			return short(*m.MACs)
		}},
		{">" + b.speedUnit(), func(m *bench.Row) string { return figure(m.GFLOPS, 3) }},
		{">of the roofline", func(m *bench.Row) string { return roofShare(m.Roofline) }},
	})
	if sec == nil {
		return nil
	}
	if slices.ContainsFunc(b.Models, func(m bench.Row) bool { return m.Roofline != nil && *m.Roofline >= aboveRoof }) {
		sec.lines = append(sec.lines, ">100 %: the model ran faster than the peaks that the probe reached, on a busy machine or by kernels better than a matrix product")
	}
	if p := b.Environment.Peaks; p != nil {
		sec.lines = append(sec.lines, fmt.Sprintf("this machine reaches %s GFLOP/s in float32, %s GOP/s in int8, and reads %s GB/s from memory",
			significant(p.FP32/1e9, 3), significant(p.INT8/1e9, 3), significant(p.Bandwidth/1e9, 3)))
	}
	return sec
}

// aboveRoof is the share of the roofline that would be written as 101 %.
const aboveRoof = 1.005

func roofShare(f *float64) string {
	if f != nil && *f >= aboveRoof {
		return ">100 %"
	}
	return share(f)
}

// speedUnit names operations a second: of floats only where no model has weights that are
// integers of 8 bits or fewer.
func (b *Bench) speedUnit() string {
	for _, m := range b.Models {
		for _, integer := range []string{"int8", "uint8", "int4", "uint4", "int2", "uint2"} {
			if m.Weights[integer].Count > 0 {
				return "GOP/s"
			}
		}
	}
	return "GFLOP/s"
}
