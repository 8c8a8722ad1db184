package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/xxh3"

	"optim/internal/ort/embedded"
)

// pack compresses the library into the files that the build tag embedort
// embeds. Files that already describe this library are kept.
func pack(library, version, dir string) (fresh bool, err error) {
	raw, err := os.ReadFile(library)
	if err != nil {
		return false, err
	}
	sum := sha256.Sum256(raw)
	info := embedded.Info{
		File:    filepath.Base(library),
		Version: version,
		SHA256:  hex.EncodeToString(sum[:]),
		XXH3:    xxh3.Hash(raw),
		Size:    int64(len(raw)),
	}
	description, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return false, err
	}
	description = append(description, '\n')
	jsonPath := filepath.Join(dir, "libonnxruntime.json")
	zstdPath := filepath.Join(dir, "libonnxruntime.zst")
	if old, err := os.ReadFile(jsonPath); err == nil && bytes.Equal(old, description) {
		if _, err := os.Stat(zstdPath); err == nil {
			return false, nil
		}
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderCRC(true))
	if err != nil {
		return false, err
	}
	// The description goes last: it says that the other file is whole.
	if err := replace(zstdPath, enc.EncodeAll(raw, nil)); err != nil {
		return false, err
	}
	return true, replace(jsonPath, description)
}

// replace writes a file so that no reader sees half of it.
func replace(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".pack-")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // gone after the rename
	if _, err := tmp.Write(data); err != nil {
		tmp.Close()
		return err
	}
	if err := tmp.Chmod(0o644); err != nil {
		tmp.Close()
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
