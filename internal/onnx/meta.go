package onnx

// Opset returns the version of the operator set of a domain that the model
// imports ("" and "ai.onnx" are the same); 0 if it imports none.
func (m *Model) Opset(domain string) int64 {
	for _, o := range m.Opsets {
		if plainDomain(o.Domain) == plainDomain(domain) {
			return o.Version
		}
	}
	return 0
}

// SetOpset makes the model import that version of the domain's operator set.
func (m *Model) SetOpset(domain string, version int64) {
	found := false
	for i, o := range m.Opsets {
		if plainDomain(o.Domain) == plainDomain(domain) {
			m.Opsets[i].Version = version
			found = true // some files import a domain under both names
		}
	}
	if found {
		return
	}
	m.Opsets = append(m.Opsets, Opset{Domain: domain, Version: version})
}

// Meta returns the value of a key of the model's metadata.
func (m *Model) Meta(key string) (string, bool) {
	for _, p := range m.Metadata {
		if p.Key == key {
			return p.Value, true
		}
	}
	return "", false
}

// SetMeta sets the value of a key of the model's metadata.
func (m *Model) SetMeta(key, value string) {
	for i, p := range m.Metadata {
		if p.Key == key {
			m.Metadata[i].Value = value
			return
		}
	}
	m.Metadata = append(m.Metadata, Property{Key: key, Value: value})
}
