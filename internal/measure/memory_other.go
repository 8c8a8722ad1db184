//go:build !unix

package measure

import "time"

func rusagePeak() int64 { return 0 }

func processorTime() time.Duration { return 0 }

func diskFree(string) (int64, error) { return 0, ErrUnsupported }
