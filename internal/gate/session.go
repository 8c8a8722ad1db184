package gate

import (
	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/ort"
)

// heavy reports whether the source's weights are too large to be copied.
func (r *run) heavy() bool { return r.verdict.BytesBefore > heavyWeights }

// session is a session and the files whose pages it maps.
type session struct {
	*ort.Session
	files []string
}

// openMapped opens a session that reads the weights where they lie in the
// model's files: little memory, but not the speed that users see.
func (r *run) openMapped(m *onnx.Model, o ort.Options) (*session, error) {
	o.ExternalFolder, o.NoPrepack = m.Folder(), true
	b, err := m.Weightless(o.ExternalFolder)
	if err != nil {
		return nil, err
	}
	files, err := inspect.Files(m)
	if err != nil {
		return nil, err
	}
	s, err := r.Runtime.OpenBytes(b, o)
	if err != nil {
		return nil, err
	}
	return &session{s, files}, nil
}

// openLoaded opens the model's file as users do.
func (r *run) openLoaded(m *onnx.Model, o ort.Options) (*session, error) {
	s, err := r.Runtime.Open(m.Path, o)
	if err != nil {
		return nil, err
	}
	return &session{Session: s}, nil
}

// opener returns how to open sessions that need not be fast.
func (r *run) opener() func(*onnx.Model, ort.Options) (*session, error) {
	if r.heavy() {
		return r.openMapped
	}
	return r.openLoaded
}

// use calls f while the pages of mapped weights are given back. The session is
// opened before and closed after that: memory that is unmapped meanwhile could
// be somebody else's when its pages are given back.
func (s *session) use(f func() error) error { return ort.KeepResidentLow(s.files, f) }

// pair opens source and result and closes both after f.
func (r *run) pair(open func(*onnx.Model, ort.Options) (*session, error), f func(source, result *ort.Session) error) error {
	o := r.Session
	o.NoSpin = true // threads of one session that wait busily would slow the other
	source, err := open(r.Source, o)
	if err != nil {
		return blameSource(err)
	}
	defer source.Close()
	result, err := open(r.staged, o)
	if err != nil {
		return blameResult(err)
	}
	defer result.Close()
	return source.use(func() error {
		return result.use(func() error { return f(source.Session, result.Session) })
	})
}
