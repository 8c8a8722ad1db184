package tokenizer

import (
	"fmt"
	"math"
)

// maxTemplate bounds the parts of a template: a text could stand in each.
const maxTemplate = 16

// templateField is one part as the file has it.
type templateField struct {
	SpecialToken *templateRef `json:"SpecialToken"`
	Sequence     *templateRef `json:"Sequence"`
}

type templateRef struct {
	ID     string `json:"id"`
	TypeID int64  `json:"type_id"`
}

// specialTokens is what a name in a template stands for.
type specialTokens struct {
	IDs    []int64  `json:"ids"`
	Tokens []string `json:"tokens"`
}

func readTemplate(c component) (*postProcessor, error) {
	var f struct {
		Single  []templateField          `json:"single"`
		Pair    []templateField          `json:"pair"`
		Special map[string]specialTokens `json:"special_tokens"`
	}
	if err := c.decode(&f); err != nil {
		return nil, err
	}
	p := &postProcessor{}
	var err error
	if p.single, err = readParts(f.Single, f.Special); err != nil {
		return nil, fmt.Errorf("%s.single: %w", c.path, err)
	}
	if p.pair, err = readParts(f.Pair, f.Special); err != nil {
		return nil, fmt.Errorf("%s.pair: %w", c.path, err)
	}
	for _, part := range p.single {
		if part.text == secondText {
			return nil, fmt.Errorf("%s.single: names a second text", c.path)
		}
	}
	return p, nil
}

func readParts(fields []templateField, special map[string]specialTokens) ([]templatePart, error) {
	if len(fields) > maxTemplate {
		return nil, fmt.Errorf("a template of %d parts, more than %d", len(fields), maxTemplate)
	}
	var out []templatePart
	for _, f := range fields {
		switch {
		case f.Sequence != nil && f.Sequence.ID == "A":
			out = append(out, templatePart{text: firstText, typeID: f.Sequence.TypeID})
		case f.Sequence != nil && f.Sequence.ID == "B":
			out = append(out, templatePart{text: secondText, typeID: f.Sequence.TypeID})
		case f.Sequence != nil:
			return nil, fmt.Errorf("text %q is neither A nor B", f.Sequence.ID)
		case f.SpecialToken != nil:
			part, err := readSpecialPart(f.SpecialToken, special)
			if err != nil {
				return nil, err
			}
			out = append(out, part)
		default:
			return nil, fmt.Errorf("a part is neither SpecialToken nor Sequence")
		}
	}
	return out, nil
}

func readSpecialPart(r *templateRef, special map[string]specialTokens) (templatePart, error) {
	part := templatePart{text: specialPart, typeID: r.TypeID}
	s, ok := special[r.ID]
	if !ok {
		return part, fmt.Errorf("special token %q is not defined", r.ID)
	}
	if len(s.IDs) != len(s.Tokens) || len(s.IDs) > maxTemplate {
		return part, fmt.Errorf("special token %q has %d ids and %d tokens", r.ID, len(s.IDs), len(s.Tokens))
	}
	for i, id := range s.IDs {
		if err := checkID(id, math.MaxInt32); err != nil {
			return part, fmt.Errorf("special token %q: %w", r.ID, err)
		}
		part.tokens = append(part.tokens, token{int32(id), s.Tokens[i]})
	}
	return part, nil
}
