package ort

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrLibrary says that ONNX Runtime itself cannot be had: no library was found,
// or the one that was named does not load.
var ErrLibrary = errors.New("cannot load onnx runtime")

// ErrProvider says that an execution provider that was asked for is missing
// from the library, or does not work on this machine.
var ErrProvider = errors.New("execution provider not available")

// ErrClosed says that a session, or a binding of it, was used after Close.
var ErrClosed = errors.New("session is closed")

var (
	// wrapping is what onnxruntime_go puts before a message.
	wrapping = regexp.MustCompile(`^(?:Error creating C session(?: from file)?|Error running network|Platform-specific initialization failed): `)
	// loading repeats the path, which the caller names anyway.
	loading = regexp.MustCompile(`^Load model (?:from )?.*? failed[:.] ?`)
	// running names the node that failed.
	running = regexp.MustCompile(`^Non-zero status code returned while running (\S+) node\. Name:'(.*?)' Status Message: `)
	// statusCode is "[ONNXRuntimeError] : 1 : FAIL : ".
	statusCode = regexp.MustCompile(`\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : `)
	// place is a line of ONNX Runtime's source, "/src/core/graph/model.cc:181 ".
	place = regexp.MustCompile(`(?:\b[A-Za-z]:)?[\w./\\-]+\.(?:cc|cpp|h|hpp|cu|cuh):\d+,? ?`)
	// function follows a place: a whole signature, or the bare name.
	function = regexp.MustCompile(`^(?:[\w:<>~*&, =\[\]-]+(?:operator\(\))?\((?:[^()]|\([^()]*\))*\)(?: const)?(?: \[with [^\]]*\])?|[A-Z][a-z]+(?:[A-Z][a-z]+)+) `)
	// assertion follows a function: the condition that did not hold.
	assertion = regexp.MustCompile(`^(?:[^.]|\.\S)* was false\. `)
	// device is what CUDA's errors end with: the machine, and a place.
	device = regexp.MustCompile(` ?; GPU=-?\d+ ; hostname=\S* ; file=\S* ; line=\d+ ; expr=.*$`)
	space  = regexp.MustCompile(`\s+`)
)

// clean turns a native message into one line as the rest of the program writes
// them: what failed, without status codes, places in ONNX Runtime's source and
// line breaks, beginning with a small letter and ending without a full stop.
func clean(msg string) string {
	msg = strings.ToValidUTF8(strings.TrimSpace(space.ReplaceAllString(msg, " ")), "?")
	for _, prefix := range []*regexp.Regexp{wrapping, loading, loading} {
		msg = msg[len(prefix.FindString(msg)):]
	}
	node := ""
	if m := running.FindStringSubmatch(msg); m != nil {
		node = fmt.Sprintf("node %q (%s): ", m[2], m[1])
		msg = msg[len(m[0]):]
	}
	msg = device.ReplaceAllString(msg, "")
	msg = cutPlaces(statusCode.ReplaceAllString(msg, ""))
	msg = strings.TrimRight(strings.TrimSpace(msg), ". ")
	if msg == "" {
		msg = "onnx runtime gave no reason"
	}
	return node + lowerFirst(msg)
}

// cutPlaces removes every place in the source, with the function and the
// assertion that stand behind it.
func cutPlaces(msg string) string {
	var out strings.Builder
	for {
		at := place.FindStringIndex(msg)
		if at == nil {
			out.WriteString(msg)
			return out.String()
		}
		out.WriteString(msg[:at[0]])
		msg = msg[at[1]:]
		msg = msg[len(function.FindString(msg)):]
		msg = msg[len(assertion.FindString(msg)):]
	}
}

// lowerFirst makes the first letter small, unless it begins an abbreviation.
func lowerFirst(s string) string {
	first, n := utf8.DecodeRuneInString(s)
	next, _ := utf8.DecodeRuneInString(s[n:])
	if unicode.IsUpper(first) && !unicode.IsUpper(next) {
		return string(unicode.ToLower(first)) + s[n:]
	}
	return s
}

// wrapNative returns err, which came from onnxruntime_go, with a clean message.
func wrapNative(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(clean(err.Error()))
}
