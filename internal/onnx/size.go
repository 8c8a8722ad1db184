package onnx

// WrittenSize returns how many bytes WriteFile would write to path and to the
// data file together. Nothing is written and no weight is computed.
func (m *Model) WrittenSize(path string, o WriteOptions) (int64, error) {
	msg, data, err := m.encode(path, o)
	if err != nil {
		return 0, err
	}
	if data == nil {
		return msg.size(), nil
	}
	return msg.size() + data.size, nil
}
