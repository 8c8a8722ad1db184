package main

import (
	"fmt"

	"github.com/spf13/pflag"

	"optim/internal/checkpoint"
	"optim/internal/quant"
)

// checkpointOptions are --from-checkpoint and what it makes of --bits.
type checkpointOptions struct {
	dir  string
	bits int // that the user wants; 0: those of the checkpoint
}

func (o *checkpointOptions) register(fs *pflag.FlagSet) {
	fs.StringVar(&o.dir, "from-checkpoint", "", "`folder` of a GPTQ or AWQ checkpoint of the same model (safetensors), whose integers the result gets: --int4 for 2 to 4 bits, --int8 for 8")
}

// checkCheckpoint makes --from-checkpoint the method.
func (o *quantizeOptions) checkCheckpoint() error {
	if o.checkpoint.dir == "" {
		return nil
	}
	if f := quant.Format(o.format); f != quant.Int4 && f != quant.Int8 {
		return withHint(usagef("--from-checkpoint means nothing for --%s", o.format), "give --int4, or --int8 for 8 bits")
	}
	if o.method != string(quant.Auto) {
		return usagef("--method and --from-checkpoint exclude each other")
	}
	if err := notStdin("--from-checkpoint", o.checkpoint.dir); err != nil {
		return err
	}
	o.method, o.checkpoint.bits, o.mixed = string(quant.Stored), o.bits, false
	return nil
}

// openCheckpoint opens the checkpoint, if there is one, and refuses bits that it
// does not have.
func (j *quantizeJob) openCheckpoint() (err error) {
	o := &j.o.checkpoint
	if o.dir == "" {
		return nil
	}
	if j.checkpoint, err = checkpoint.Open(o.dir); err != nil {
		return badInput(err)
	}
	has, want := j.checkpoint.Config.Bits, quant.Int4
	if has == 8 {
		want = quant.Int8
	}
	switch {
	case o.bits != 0 && o.bits != has:
		return withHint(usagef("the checkpoint %q has %d bits, not %d", o.dir, has, o.bits), "leave --bits out")
	case j.q.Format != want:
		return withHint(usagef("the checkpoint %q has %d bits", o.dir, has), "give --%s", want)
	}
	return nil
}

// fitCheckpoint gives the prepared model what the checkpoint has.
func (j *quantizeJob) fitCheckpoint() error {
	if j.checkpoint == nil {
		return nil
	}
	solutions, notes, err := quant.FitCheckpoint(j.work, j.checkpoint)
	if err != nil {
		return badInput(fmt.Errorf("%s: %w", j.o.model, err))
	}
	j.q.Solutions = solutions
	c := j.checkpoint.Config
	group := fmt.Sprintf("groups of %d", c.GroupSize)
	if c.GroupSize == -1 {
		group = "one group in a row"
	}
	j.said = append(j.said, fmt.Sprintf("%d matrices are those of the checkpoint: %s, %d bits, %s", len(solutions), c.Method, c.Bits, group))
	j.said = append(j.said, notes...)
	return nil
}
