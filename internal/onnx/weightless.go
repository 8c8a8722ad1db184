package onnx

import "path/filepath"

// weightlessMin is the size above which Weightless leaves a tensor out.
const weightlessMin = 1 << 10

// Weightless returns the model as a ModelProto without its large initializers:
// they become external data that points into the very files they were read
// from, also into the model file itself. ONNX Runtime maps them from there if
// it is told the folder (session.model_external_initializers_file_folder_path),
// so that a model of any size is loaded from a few kilobytes. Initializers that
// lie in no file below folder (new ones, typed fields) are written in.
func (m *Model) Weightless(folder string) ([]byte, error) {
	base, err := realPath(folder)
	if err != nil {
		return nil, err
	}
	e := &encoder{refer: func(t *Tensor) (string, int64, bool) {
		path, offset, length, ok := t.Location()
		if !ok || length <= weightlessMin {
			return "", 0, false
		}
		rel, err := filepath.Rel(base, path)
		if err != nil || !filepath.IsLocal(rel) {
			return "", 0, false
		}
		return filepath.ToSlash(rel), offset, true
	}}
	return m.marshal(e)
}

// Folder returns the real folder of the model's file, where symbolic links are
// resolved: the one to give to Weightless. It is empty for a model that was not
// read from a file.
func (m *Model) Folder() string {
	if m.files == nil || len(m.files.maps) == 0 || m.files.maps[0].path == "" {
		return ""
	}
	return filepath.Dir(m.files.maps[0].path)
}

// realPath returns an absolute path with symbolic links resolved.
func realPath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}
