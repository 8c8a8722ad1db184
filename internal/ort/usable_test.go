package ort_test

import (
	"errors"
	"testing"

	"optim/internal/ort"
	"optim/internal/ort/orttest"
)

// TestUsable: what is in the library works or says why not, each time alike.
func TestUsable(t *testing.T) {
	rt := orttest.Runtime(t)
	if err := rt.Usable(ort.CPU); err != nil {
		t.Error(err)
	}
	if err := rt.Usable("qnn"); !errors.Is(err, ort.ErrProvider) {
		t.Errorf("a provider that the library lacks: %v", err)
	}
	for _, p := range rt.Providers() {
		if err := rt.Usable(p); err != rt.Usable(p) || err != nil && !errors.Is(err, ort.ErrProvider) {
			t.Errorf("%s: %v", p, err)
		}
	}
	s, err := rt.OpenBytes([]byte(ort.Relu), ort.Options{})
	if err != nil {
		t.Fatalf("the model that providers are tried with: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
