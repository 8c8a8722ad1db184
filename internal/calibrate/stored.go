package calibrate

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
)

// number is a float64 whose JSON form knows infinities: activations may have
// them, and extremes start with them.
type number float64

// MarshalJSON writes a number, or a text where JSON has no number for it.
func (n number) MarshalJSON() ([]byte, error) {
	text := strconv.FormatFloat(float64(n), 'g', -1, 64)
	if n-n != 0 {
		text = strconv.Quote(text)
	}
	return []byte(text), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (n *number) UnmarshalJSON(b []byte) error {
	text := string(b)
	if unquoted, err := strconv.Unquote(text); err == nil {
		text = unquoted
	}
	v, err := strconv.ParseFloat(text, 64)
	*n = number(v)
	return err
}

// loadState reads a cache; a missing or damaged one is as good as none.
func loadState(path string) *state {
	s := &state{Values: map[string]*entry{}}
	if path == "" {
		return s
	}
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
		return s // reading a pipe or a device would not end
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return s
	}
	var found state
	if json.Unmarshal(b, &found) != nil || found.check() != nil {
		return s
	}
	return &found
}

// check tests what the rest relies on.
func (s *state) check() error {
	if s.Samples < 0 || s.Values == nil || s.Done && s.Samples == 0 {
		return errors.New("no state of a calibration")
	}
	for v, e := range s.Values {
		if e == nil {
			return fmt.Errorf("value %q: nothing is known", v)
		}
		if err := e.check(); err != nil {
			return fmt.Errorf("value %q: %w", v, err)
		}
	}
	return nil
}

func (e *entry) check() error {
	n, err := e.Shape.Elements()
	switch {
	case err != nil:
		return err
	case !(e.Count >= 0) || math.IsInf(e.Count, 0):
		return fmt.Errorf("count %g", e.Count)
	case e.Count > 0 && (e.Shape == nil || n == 0):
		return errors.New("values without a shape")
	case e.Hist == nil && e.Count > 0 && !(e.Min <= e.Max):
		return fmt.Errorf("range %g to %g", e.Min, e.Max)
	case len(e.High) != len(e.Low) || len(e.Square) != len(e.Low) || e.Low != nil && len(e.Mean) != len(e.Low):
		return errors.New("channels do not match")
	}
	return nil
}

// ErrCache says that what was observed could not be stored.
var ErrCache = errors.New("the cache of calibrations cannot be written")

// save writes the cache; its errors are ErrCache.
func (s *state) save(path string) error {
	if err := s.store(path); err != nil {
		return fmt.Errorf("%w: %w", ErrCache, err)
	}
	return nil
}

// store writes the cache under a temporary name and renames it, so that two
// runs at once never read half a file.
func (s *state) store(path string) error {
	if path == "" {
		return nil
	}
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".calibration-*.json")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
