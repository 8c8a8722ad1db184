package report

// compareSample has every figure, and rows that failed, missed a limit or do not
// apply.
func compareSample() *Compare {
	quality := func(after, kept, kl float64, acceptable bool) *Quality {
		return &Quality{"perplexity", ptr(43.59), ptr(after), ptr(kept), ptr(0.95), ptr(kl), acceptable, 20}
	}
	latency := func(ms, speedup float64) *Latency {
		return &Latency{ms, 0.97 * ms, 1.02 * ms, ptr(speedup), ptr(0.98 * speedup), ptr(1.03 * speedup)}
	}
	return &Compare{
		Header: Header{Command: "quantize", Config: "optim.yaml"}, Input: File{Path: "models/net.onnx", Bytes: 10_497_346, Parameters: 2_590_848},
		Recommended: "int8 dynamic", Rule: "the fastest of the rows that keep more than 95.00 % of the quality",
		JudgedOn: "perplexity on valid.txt, 20 samples", Restarts: 4, Duration: 61.25, PeakRSS: 60_000_000, Wrote: []string{"frontier.png"},
		Rows: []Row{
			{Name: "original", Method: "original", Format: "float32", Bytes: ptr(int64(10_497_346)), WeightBytes: ptr(int64(10_363_392)), Bits: ptr(32.0),
				ResidentBytes: ptr(int64(66_000_000)), Latency: &Latency{Median: 4.6, Low: 4.5, High: 4.8}, Quality: &Quality{Metric: "perplexity", After: ptr(43.59), Acceptable: true, Samples: 20}},
			{Name: "int8 dynamic", Method: "dynamic", Format: "int8", Flags: "--int8 --method dynamic", Bytes: ptr(int64(2_718_281)), WeightBytes: ptr(int64(2_600_000)), Bits: ptr(8.03),
				ResidentBytes: ptr(int64(51_000_000)), PeakRSS: ptr(int64(60_000_000)), Latency: latency(1.99, 2.31), Quality: quality(43.87, 0.99362, 0.00512, true),
				Seconds: 3.1, TimingSeconds: 4.2, Warnings: []string{"prepared: 2 nodes folded"}},
			{Name: "int4 rtn", Method: "rtn", Format: "int4", Flags: "--int4 --method rtn", Bytes: ptr(int64(1_718_281)), WeightBytes: ptr(int64(1_600_000)), Bits: ptr(4.53),
				PeakRSS: ptr(int64(61_000_000)), Latency: latency(3.2, 1.44), Quality: quality(48.1, 0.906, 0.0981, false), Seconds: 2.9, TimingSeconds: 4.4,
				Missed: "retention of perplexity is 0.9060, and must be greater than 0.9500"},
			{Name: "int4 hqq", Method: "hqq", Format: "int4", Flags: "--int4 --method hqq", Seconds: 1.2, Error: "load: no kernel \x1b[2J"},
			{Name: "int4 gptq", Method: "gptq", Format: "int4", Flags: "--int4 --method gptq", Skipped: "it needs data: give --calib DATA"},
		},
		Warnings: []string{"the machine is busy"},
	}
}

// compareBare has no quality on data, and times of microseconds.
func compareBare() *Compare {
	return &Compare{
		Header: Header{Command: "quantize"}, Input: File{Path: "net.onnx", Bytes: 941_367}, Recommended: "original", Rule: "no row is faster or smaller",
		JudgedOn: "cosine of the outputs on one made-up input (no data: give --eval DATA)", Interrupted: true, Restarts: 4,
		Rows: []Row{
			{Name: "original", Method: "original", Format: "float32", Bytes: ptr(int64(941_367)), Latency: &Latency{Median: 0.0114, Low: 0.011, High: 0.012}},
			{Name: "int8 dynamic", Method: "dynamic", Format: "int8", Bytes: ptr(int64(236_100)), Latency: &Latency{0.021, 0.0205, 0.0214, ptr(0.54), ptr(0.52), ptr(0.56)},
				Quality: &Quality{Metric: "cosine", After: ptr(0.999732), Retention: ptr(0.999732), Acceptable: true, Samples: 1}, Seconds: 0.31},
		},
	}
}

func compareDry() *Compare {
	return &Compare{
		Header: Header{Command: "quantize", Config: "optim.yaml"}, Input: File{Path: "net.onnx", Bytes: 941_367}, DryRun: true,
		Rows: []Row{
			{Name: "int8 dynamic", Method: "dynamic", Format: "int8", Flags: "--int8 --method dynamic"},
			{Name: "int8 static", Method: "static", Format: "int8", Flags: "--int8 --method static", Skipped: "it needs data: give --calib DATA"},
		},
	}
}
