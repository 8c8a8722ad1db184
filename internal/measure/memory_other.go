//go:build !unix

package measure

func rusagePeak() int64 { return 0 }

func diskFree(string) (int64, error) { return 0, ErrUnsupported }
