package tensor

// Packing of elements below 8 bits as ONNX stores them: low bits first, the
// last byte padded with zero bits.

// PackBits packs the low bits (1, 2, 4 or 8) of each code into dst, which
// needs ⌈len(codes)·bits/8⌉ bytes. It panics if dst is shorter.
func PackBits(dst, codes []byte, bits int) {
	switch bits {
	case 8:
		copy(dst[:len(codes)], codes)
	case 4:
		pack4(dst, codes)
	default:
		packAny(dst, codes, bits)
	}
}

func pack4(dst, codes []byte) {
	n := len(codes) / 2
	d, c := dst[:n], codes[:2*n]
	for i := range d {
		d[i] = c[0]&15 | c[1]<<4
		c = c[2:]
	}
	if len(codes)%2 != 0 {
		dst[n] = codes[2*n] & 15
	}
}

func packAny(dst, codes []byte, bits int) {
	per := 8 / bits
	mask := byte(1)<<bits - 1
	for i := 0; i < len(codes); i += per {
		var b byte
		for j, c := range codes[i:min(i+per, len(codes))] {
			b |= c & mask << (j * bits)
		}
		dst[i/per] = b
	}
}

// UnpackBits is the inverse of PackBits: it fills codes, each zero-extended,
// from packed elements of 1, 2, 4 or 8 bits.
func UnpackBits(codes, packed []byte, bits int) {
	switch bits {
	case 8:
		copy(codes, packed[:len(codes)])
	case 4:
		n := len(codes) / 2
		c := codes[:2*n]
		for _, b := range packed[:n] {
			c[0], c[1] = b&15, b>>4
			c = c[2:]
		}
		if len(codes)%2 != 0 {
			codes[2*n] = packed[n] & 15
		}
	default:
		per := 8 / bits
		mask := byte(1)<<bits - 1
		for i := range codes {
			codes[i] = packed[i/per] >> (i % per * bits) & mask
		}
	}
}

// unpackSigned is UnpackBits with sign extension.
func unpackSigned(codes, packed []byte, bits int) {
	UnpackBits(codes, packed, bits)
	shift := 8 - bits
	for i, c := range codes {
		codes[i] = byte(int8(c<<shift) >> shift)
	}
}
