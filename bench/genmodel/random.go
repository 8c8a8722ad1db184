package main

import (
	"hash/fnv"

	"optim/internal/tensor"
)

// mix is the finalizer of splitmix64 (Steele, Lea and Flood, 2014): a bijection
// of 64 bits whose outputs for successive inputs pass statistical tests. It
// makes every weight a function of its position alone, so that tensors can be
// computed in any order.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// tensorSeed tells the tensors of one model apart.
func tensorSeed(seed uint64, name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return mix(seed) ^ h.Sum64()
}

// normal returns a function that fills bytes with float32 of mean 0 and the
// standard deviation given, bell-shaped and bounded by √12 deviations: the sum
// of four uniform numbers of 16 bits (Irwin–Hall), which costs one hash and no
// transcendental function for each weight.
func normal(seed uint64, deviation float64) func(dst []byte) error {
	// Four independent uniforms on 0..65535 have variance 4·(65536²−1)/12.
	const mean, sigma = 2 * 65535.0, 37837.2272
	scale := float32(deviation / sigma)
	return func(dst []byte) error {
		v := tensor.As[float32](dst)
		for i := range v {
			h := mix(seed + uint64(i))
			sum := h&0xffff + h>>16&0xffff + h>>32&0xffff + h>>48
			v[i] = (float32(sum) - mean) * scale
		}
		return nil
	}
}
