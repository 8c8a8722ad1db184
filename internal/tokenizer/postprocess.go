package tokenizer

import (
	"fmt"
)

// Which text a template's part is filled with.
const (
	specialPart = -1
	firstText   = 0
	secondText  = 1
)

// templatePart is a text or some special tokens.
type templatePart struct {
	text   int // specialPart, firstText or secondText
	typeID int64
	tokens []token // of a special part
}

// postProcessor puts special tokens around one text or two. All kinds of the
// file are such templates.
type postProcessor struct {
	single, pair []templatePart
}

// plain adds nothing: what files without post-processor mean.
func plain() *postProcessor {
	a, b := templatePart{text: firstText}, templatePart{text: secondText, typeID: 1}
	return &postProcessor{single: []templatePart{a}, pair: []templatePart{a, b}}
}

func readPostProcessor(c component) (*postProcessor, error) {
	if c.absent() {
		return plain(), nil
	}
	kind, err := c.kind()
	if err != nil {
		return nil, err
	}
	switch kind {
	case "ByteLevel": // moves offsets, which Encoding does not have
		return plain(), nil
	case "TemplateProcessing":
		return readTemplate(c)
	case "BertProcessing":
		return readBertProcessing(c)
	case "RobertaProcessing":
		return readRobertaProcessing(c)
	case "Sequence":
		return readPostSequence(c)
	}
	return nil, c.unknown(kind)
}

// readPostSequence accepts one part that adds tokens; ByteLevel may be there too.
func readPostSequence(c component) (*postProcessor, error) {
	list, err := c.sequence("processors")
	if err != nil {
		return nil, err
	}
	out := plain()
	for _, sub := range list {
		p, err := readPostProcessor(sub)
		if err != nil {
			return nil, err
		}
		if p.count(false) == 0 && p.count(true) == 0 {
			continue
		}
		if out.count(true) > 0 {
			return nil, fmt.Errorf("%s: a second processor that adds tokens is not supported", sub.path)
		}
		out = p
	}
	return out, nil
}

// specialField is ["token", id].
type specialField struct{ token }

// UnmarshalJSON reads the two elements.
func (s *specialField) UnmarshalJSON(data []byte) error {
	return twoElements(data, &s.text, &s.id)
}

// readFrame reads the two special tokens of the older processors.
func readFrame(c component) (cls, sep templatePart, err error) {
	var f struct {
		Sep *specialField `json:"sep"`
		Cls *specialField `json:"cls"`
	}
	if err := c.decode(&f); err != nil {
		return cls, sep, err
	}
	if f.Sep == nil || f.Cls == nil {
		return cls, sep, fmt.Errorf("%s: sep or cls is missing", c.path)
	}
	cls = templatePart{text: specialPart, tokens: []token{f.Cls.token}}
	sep = templatePart{text: specialPart, tokens: []token{f.Sep.token}}
	return cls, sep, nil
}

// readBertProcessing is [CLS] A [SEP], and B [SEP] with type 1.
func readBertProcessing(c component) (*postProcessor, error) {
	cls, sep, err := readFrame(c)
	if err != nil {
		return nil, err
	}
	a, b, sepB := templatePart{text: firstText}, templatePart{text: secondText, typeID: 1}, sep
	sepB.typeID = 1
	return &postProcessor{
		single: []templatePart{cls, a, sep},
		pair:   []templatePart{cls, a, sep, b, sepB},
	}, nil
}

// readRobertaProcessing is <s> A </s>, and </s> B </s>, all with type 0.
func readRobertaProcessing(c component) (*postProcessor, error) {
	cls, sep, err := readFrame(c)
	if err != nil {
		return nil, err
	}
	a, b := templatePart{text: firstText}, templatePart{text: secondText}
	return &postProcessor{
		single: []templatePart{cls, a, sep},
		pair:   []templatePart{cls, a, sep, sep, b, sep},
	}, nil
}

// template is the one for this number of texts.
func (p *postProcessor) template(pair bool) []templatePart {
	if pair {
		return p.pair
	}
	return p.single
}

// count is the number of special tokens.
func (p *postProcessor) count(pair bool) int {
	n := 0
	for _, part := range p.template(pair) {
		n += len(part.tokens)
	}
	return n
}

// assemble fills the template; without special only the texts, with their types.
func (p *postProcessor) assemble(a, b []token, pair, special bool) (Encoding, error) {
	template := p.template(pair)
	if pair && len(template) == 0 {
		return Encoding{}, fmt.Errorf("post_processor: has no template for a pair of texts")
	}
	n := len(a) + len(b) + p.count(pair)
	e := Encoding{IDs: make([]int64, 0, n), TypeIDs: make([]int64, 0, n), Tokens: make([]string, 0, n)}
	for _, part := range template {
		tokens := part.tokens
		switch {
		case part.text == firstText:
			tokens = a
		case part.text == secondText:
			tokens = b
		case !special:
			continue
		}
		for _, t := range tokens {
			e.IDs = append(e.IDs, int64(t.id))
			e.TypeIDs = append(e.TypeIDs, part.typeID)
			e.Tokens = append(e.Tokens, t.text)
		}
	}
	return e, nil
}
