// Package layers holds the rules of who may import whom, as a test. The arrows
// point one way, from the commands down to the tensor core:
//
//	cmd → bench, distill, trt, auto → quant, prune → train, eval →
//	autodiff, dataset, measure, calib → ort, onnx, tokenizer → tensor
package layers

import "strings"

// Rooms gives each room under internal its height. A package may import its own
// room and lower ones. Rooms of one height do not know of each other, but for
// those in Neighbours.
var Rooms = map[string]int{
	"tensor": 0, "knapsack": 0,
	"ort": 1, "gpu": 1, "onnx": 1, "checkpoint": 1, "rounding": 1, "tokenizer": 1, "host": 1,
	"autodiff": 2, "dataset": 2, "measure": 2, "calib": 2, "inspect": 2, "recipe": 2,
	"train": 3, "eval": 3, "workload": 3,
	"quant": 4, "prune": 4, "gate": 4,
	"calibrate": 5, "bench": 5, "distill": 5, "trt": 5, "auto": 5,
	"report": 6,
	"cmd":    7,
}

// Neighbours are the arrows between rooms of one height.
var Neighbours = map[[2]string]bool{{"bench", "trt"}: true}

// Room returns the room of a package of this module, "onnx" for
// optim/internal/onnx/fold; "" for scripts and other tools.
func Room(path string) string {
	if strings.HasPrefix(path, "optim/cmd/") {
		return "cmd"
	}
	rest, ok := strings.CutPrefix(path, "optim/internal/")
	if !ok {
		return ""
	}
	room, _, _ := strings.Cut(rest, "/")
	return room
}

// Only names the packages outside the module that just one room may import.
var Only = map[string]string{
	"github.com/yalue/onnxruntime_go": "ort",
	"gorgonia.org/cu":                 "gpu",
	"github.com/spf13/cobra":          "cmd",
	"github.com/spf13/viper":          "cmd",
}

// Problem says why package from may not import to; "" if it may.
func Problem(from, to string) string {
	a := Room(from)
	if room, ok := Only[to]; ok && a != room {
		return from + " imports " + to + ", which only " + room + " may"
	}
	b := Room(to)
	if a == "" || b == "" || a == b {
		return ""
	}
	ha, okA := Rooms[a]
	hb, okB := Rooms[b]
	switch {
	case !okA:
		return "room " + a + " is not in the table of rooms"
	case !okB:
		return "room " + b + " is not in the table of rooms"
	case b == "report" && a != "cmd":
		return from + " imports " + to + ", which only cmd may"
	case hb < ha, Neighbours[[2]string{a, b}]:
		return ""
	}
	return from + " imports " + to + ", against the arrows"
}
