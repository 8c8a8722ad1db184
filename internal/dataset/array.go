package dataset

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"optim/internal/tensor"
)

const (
	maxRow     = 1 << 30 // bytes of one sample's array
	maxFortran = 1 << 30 // bytes of an array that has to be transposed in memory
)

// opener opens one array from its beginning and tells its size in bytes.
type opener func() (io.ReadCloser, int64, error)

// array is one array that is read row by row.
type array struct {
	open     opener
	head     npyHeader
	rowBytes int64
	file     io.ReadCloser
	r        io.Reader
	left     int64 // rows
}

// openArray reads the header and checks it against the size of the entry.
func openArray(open opener) (*array, error) {
	a := &array{open: open}
	if err := a.reopen(); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

// reopen starts again with the first row.
func (a *array) reopen() error {
	a.close()
	file, size, err := a.open()
	if err != nil {
		return err
	}
	a.file = file
	r := bufio.NewReaderSize(file, 1<<16)
	if a.head, err = readNpyHeader(r); err != nil {
		return err
	}
	bytes, err := a.head.shape.Bytes(a.head.dtype)
	if err != nil {
		return err
	}
	if size-a.head.size != bytes {
		return fmt.Errorf("shape %v of %s takes %d bytes, the file has %d", a.head.shape, a.head.dtype, bytes, size-a.head.size)
	}
	a.r = r
	if len(a.head.shape) == 0 {
		return nil
	}
	if a.rowBytes, err = a.head.shape[1:].Bytes(a.head.dtype); err != nil {
		return err
	}
	if a.rowBytes > maxRow {
		return fmt.Errorf("one sample takes %d bytes, more than %d", a.rowBytes, maxRow)
	}
	a.left = a.head.shape[0]
	if a.head.fortran && len(a.head.shape) > 1 {
		if a.r, err = transposed(r, a.head, bytes); err == nil {
			err = ended(r)
		}
	}
	return err
}

// ended reads the end of an entry: a zip file compares its checksum there and only there.
func ended(r io.Reader) error {
	switch _, err := io.ReadFull(r, make([]byte, 1)); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	}
	return errors.New("there is more than the array")
}

// next returns the next row as packed elements of type d.
func (a *array) next(d tensor.DType) ([]byte, error) {
	raw := make([]byte, a.rowBytes)
	if _, err := io.ReadFull(a.r, raw); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errors.New("the array ends early")
		}
		return nil, err
	}
	if a.left--; a.left == 0 {
		if err := ended(a.r); err != nil {
			return nil, err
		}
	}
	return convert(raw, a.head.dtype, a.head.big, d)
}

func (a *array) close() {
	if a.file != nil {
		a.file.Close()
		a.file = nil
	}
}
