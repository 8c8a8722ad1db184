// Command optim makes ONNX models smaller and faster, and proves on this
// machine that it did.
package main

import "os"

func main() {
	os.Exit(Main(os.Args[1:], systemStreams()))
}
