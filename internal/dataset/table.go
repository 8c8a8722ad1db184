package dataset

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// table has a header and one record per row.
type table struct {
	row     func() (cells []string, line int, err error)
	columns map[string]int // by field
	width   int
}

// columnNames maps the headers that are known to fields.
var columnNames = map[string]string{
	"text": "text", "sentence1": "text", "text_pair": "pair", "sentence2": "pair",
	"label": "label", "score": "score",
}

// newTable reads the header.
func newTable(row func() ([]string, int, error)) (*table, error) {
	t := &table{row: row, columns: map[string]int{}}
	header, _, err := row()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("empty: want a header")
	}
	if err != nil {
		return nil, err
	}
	t.width = len(header)
	for i, name := range header {
		field := columnNames[strings.TrimSpace(name)]
		if field == "" {
			continue
		}
		if _, twice := t.columns[field]; twice {
			return nil, fmt.Errorf("header: two columns for the same thing, the second is %.60q", name)
		}
		t.columns[field] = i
	}
	if _, ok := t.columns["text"]; !ok {
		return nil, fmt.Errorf(`header: no column "text" or "sentence1", only %s`, quotedList(header))
	}
	return t, nil
}

func (t *table) read() (record, error) {
	cells, line, err := t.row()
	if err != nil {
		return record{}, err
	}
	rec := record{place: fmt.Sprintf("line %d", line), hasText: true}
	if len(cells) != t.width {
		return record{}, fmt.Errorf("%s: %d fields, the header has %d", rec.place, len(cells), t.width)
	}
	rec.text = cells[t.columns["text"]]
	if i, ok := t.columns["pair"]; ok {
		rec.pair, rec.hasPair = cells[i], true
	}
	if i, ok := t.columns["label"]; ok {
		rec.label, err = parseLabel(strings.TrimSpace(cells[i]))
	}
	if i, ok := t.columns["score"]; ok && err == nil {
		rec.score, err = parseScore(strings.TrimSpace(cells[i]))
	}
	if err != nil {
		return record{}, at(rec.place, err)
	}
	return rec, nil
}

// tsvRows splits at tabs; there is no quoting.
func tsvRows(r io.Reader) func() ([]string, int, error) {
	lines := newLineReader(r)
	return func() ([]string, int, error) {
		text, err := lines.nextFull()
		if err != nil {
			return nil, lines.line, err
		}
		return strings.Split(string(text), "\t"), lines.line, nil
	}
}

// csvRows reads RFC 4180, where a quoted field may have line ends; a
// record takes at most limit bytes.
func csvRows(r io.Reader, limit int) func() ([]string, int, error) {
	meter := &meter{r: r, limit: limit, left: limit}
	reader := csv.NewReader(skipMark(meter))
	reader.FieldsPerRecord = -1 // reported with our own words
	return func() ([]string, int, error) {
		meter.left = limit
		cells, err := reader.Read()
		if err != nil {
			return nil, 0, err
		}
		line, _ := reader.FieldPos(0)
		for _, c := range cells {
			if !utf8.ValidString(c) {
				return nil, line, fmt.Errorf("line %d is not UTF-8", line)
			}
		}
		return cells, line, nil
	}
}

// skipMark drops a byte order mark.
func skipMark(r io.Reader) io.Reader {
	b := bufio.NewReaderSize(r, 1<<16)
	if mark, _ := b.Peek(3); string(mark) == "\ufeff" {
		b.Discard(3)
	}
	return b
}

// meter fails when a record (an open quote, say) takes more than it is granted.
type meter struct {
	r     io.Reader
	limit int
	left  int
}

func (m *meter) Read(p []byte) (int, error) {
	if m.left <= 0 {
		m.left = 0
		return 0, fmt.Errorf("a record is longer than %d bytes", m.limit)
	}
	n, err := m.r.Read(p)
	m.left -= n
	return n, err
}
