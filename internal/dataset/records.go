package dataset

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"
)

// maxRecord bounds one line of text, or one record of a table, in bytes.
const maxRecord = 64 << 20

// record is one entry of a text file: texts, or arrays by input name.
type record struct {
	place      string // "line 3"
	text, pair string
	hasText    bool
	hasPair    bool
	label      *int64
	score      *float64
	arrays     map[string]json.RawMessage
}

// recordReader yields records, and io.EOF at the end.
type recordReader interface{ read() (record, error) }

// lineReader reads lines of bounded length and counts them. A byte order mark
// at the beginning is dropped, and so is a carriage return before the line end.
type lineReader struct {
	r     *bufio.Reader
	limit int // bytes of a line
	line  int
	buf   []byte
}

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 1<<16), limit: maxRecord}
}

// next returns the next line without its end; it is valid until the next call.
func (l *lineReader) next() ([]byte, error) {
	l.buf = l.buf[:0]
	for {
		part, err := l.r.ReadSlice('\n')
		l.buf = append(l.buf, part...)
		if len(l.buf) > l.limit {
			return nil, fmt.Errorf("line %d is longer than %d bytes", l.line+1, l.limit)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && (!errors.Is(err, io.EOF) || len(l.buf) == 0) {
			return nil, err
		}
		break
	}
	l.line++
	text := l.buf
	if l.line == 1 {
		text = bytes.TrimPrefix(text, []byte("\ufeff"))
	}
	text = bytes.TrimSuffix(text, []byte("\n"))
	text = bytes.TrimSuffix(text, []byte("\r"))
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("line %d is not UTF-8", l.line)
	}
	return text, nil
}

// nextFull returns the next line that is not blank.
func (l *lineReader) nextFull() ([]byte, error) {
	for {
		text, err := l.next()
		if err != nil || len(bytes.TrimSpace(text)) > 0 {
			return text, err
		}
	}
}

func (l *lineReader) place() string { return fmt.Sprintf("line %d", l.line) }

// plainLines has one text per line; blank lines are passed over.
type plainLines struct{ lines *lineReader }

func (p *plainLines) read() (record, error) {
	text, err := p.lines.nextFull()
	if err != nil {
		return record{}, err
	}
	return record{place: p.lines.place(), text: string(text), hasText: true}, nil
}

// jsonLines has one object per line.
type jsonLines struct {
	lines  *lineReader
	inputs []string // names of the model's inputs
}

func (j *jsonLines) read() (record, error) {
	text, err := j.lines.nextFull()
	if err != nil {
		return record{}, err
	}
	rec, err := parseJSONRecord(text, j.inputs)
	rec.place = j.lines.place()
	if err != nil {
		return record{}, at(rec.place, err)
	}
	return rec, nil
}

// parseJSONRecord reads one object. Fields that are neither known nor inputs
// are ignored, as data sets carry ids and sources along; null is as absent.
func parseJSONRecord(line []byte, inputs []string) (record, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return record{}, fmt.Errorf("not a JSON object: %w", err)
	}
	var rec record
	for _, name := range sortedKeys(fields) {
		raw := fields[name]
		if string(raw) == "null" {
			continue
		}
		if err := rec.setJSON(name, raw, inputs); err != nil {
			return record{}, fmt.Errorf("field %.60q: %w", name, err)
		}
	}
	if !rec.hasText && rec.arrays == nil {
		return record{}, fmt.Errorf(`no field "text" and none named like an input (%s), only %s`, quotedList(inputs), quotedList(sortedKeys(fields)))
	}
	return rec, nil
}

// setJSON stores one field of an object.
func (rec *record) setJSON(name string, raw json.RawMessage, inputs []string) error {
	var err error
	switch {
	case slices.Contains(inputs, name):
		if rec.arrays == nil {
			rec.arrays = map[string]json.RawMessage{}
		}
		rec.arrays[name] = raw
	case name == "text":
		rec.hasText = true
		err = unmarshalText(raw, &rec.text)
	case name == "text_pair":
		rec.hasPair = true
		err = unmarshalText(raw, &rec.pair)
	case name == "label":
		rec.label, err = parseLabel(string(raw))
	case name == "score":
		rec.score, err = parseScore(string(raw))
	}
	return err
}

func unmarshalText(raw json.RawMessage, to *string) error {
	if len(raw) == 0 || raw[0] != '"' {
		return errors.New("not a string")
	}
	return json.Unmarshal(raw, to)
}

// parseLabel reads a class, an integer from 0; 3.0 counts as 3.
func parseLabel(s string) (*int64, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil, fmt.Errorf("label %.40q is not an integer", s)
	}
	ints, err := values{floats: []float64{f}}.integers()
	if err != nil {
		return nil, fmt.Errorf("label %.40q is not an integer", s)
	}
	if ints[0] < 0 {
		return nil, fmt.Errorf("label %d is negative", ints[0])
	}
	return &ints[0], nil
}

// parseScore reads a finite number.
func parseScore(s string) (*float64, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f-f != 0 { // f-f is not 0 for Inf and NaN
		return nil, fmt.Errorf("score %.40q is not a number", s)
	}
	return &f, nil
}
