package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

const (
	barDelay  = time.Second     // nothing is shown of what takes less
	lineEvery = 5 * time.Second // between lines where there is no terminal
)

// progress shows how far a long step is: a bar at a terminal, else a line now
// and then. Its methods may be called by several goroutines; those of a nil
// *progress do nothing.
type progress struct {
	mu     sync.Mutex
	w      io.Writer
	tty    bool
	colour bool
	title  string
	now    func() time.Time
	start  time.Time
	last   time.Time
	bar    *progressbar.ProgressBar
}

// progress begins a step. It returns nil where nothing shall be shown; with
// --json standard error stays free for the error object.
func (a *app) progress(title string) *progress {
	if a.quiet || a.noProgress || a.json && !a.ErrTTY {
		return nil
	}
	return newProgress(a.Err, a.ErrTTY, a.colour(a.ErrTTY), title, time.Now)
}

func newProgress(w io.Writer, tty, colour bool, title string, now func() time.Time) *progress {
	t := now()
	return &progress{w: w, tty: tty, colour: colour, title: title, now: now, start: t, last: t}
}

// describe changes the title.
func (p *progress) describe(title string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.title = title
	if p.bar != nil {
		p.bar.Describe(title)
	}
}

// Set says that done of total units are done; total ≤ 0: not known.
func (p *progress) Set(done, total int64) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tty {
		p.draw(done, total)
		return
	}
	t := p.now()
	if t.Sub(p.last) < lineEvery {
		return
	}
	p.last = t
	seconds := t.Sub(p.start).Round(time.Second)
	if total > 0 {
		fmt.Fprintf(p.w, "%s: %d %% after %s\n", p.title, 100*min(done, total)/total, seconds)
	} else {
		fmt.Fprintf(p.w, "%s: %d after %s\n", p.title, done, seconds)
	}
}

// draw shows the bar, once the step has taken a second.
func (p *progress) draw(done, total int64) {
	if p.bar == nil {
		if p.now().Sub(p.start) < barDelay {
			return
		}
		if total <= 0 {
			total = -1
		}
		p.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(p.w),
			progressbar.OptionSetDescription(p.title),
			progressbar.OptionEnableColorCodes(p.colour),
			progressbar.OptionSetWidth(24),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionSetPredictTime(total > 0),
		)
	}
	if total > 0 && total != p.bar.GetMax64() {
		p.bar.ChangeMax64(total)
	}
	p.bar.Set64(done)
}

// Done ends the step and removes the bar.
func (p *progress) Done() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		p.bar.Finish()
		p.bar.Clear()
		p.bar = nil
	}
}

// stages shows the steps of a long run one after another, each with its bar.
type stages struct {
	app  *app
	name string
	bar  *progress
}

// stages begins a run of several steps.
func (a *app) stages() *stages { return &stages{app: a} }

// Set says how far a step is; a new name ends the step before.
func (s *stages) Set(name string, done, total int64) {
	if name != s.name {
		s.bar.Done()
		s.name, s.bar = name, s.app.progress(name)
	}
	s.bar.Set(done, total)
}

// Done ends the last step.
func (s *stages) Done() { s.bar.Done() }
