package ort

import (
	"errors"
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
	// statusCode is the prefix "[ONNXRuntimeError] : 1 : FAIL : ".
	statusCode = regexp.MustCompile(`\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : `)
	// sourcePlace is "/src/core/graph/model.cc:181 ns::Fn(args) ", with or
	// without the function; the arguments may hold nested parentheses.
	sourcePlace = regexp.MustCompile(`(?:[A-Za-z]:)?[\w./\\-]*\.(?:cc|cpp|h|hpp|cu):\d+,? ?(?:(?:[\w:<>~*&, -]+ )?[\w:<>~]+(?:::\w+|operator\(\))?\([^()]*(?:\([^()]*\)[^()]*)*\)(?: const)?(?: \[with [^\]]*\])?(?:::<lambda[^>]*>)?(?: const)?)? ?`)
	// failedCheck is the text of an assertion of ONNX Runtime's own code.
	failedCheck = regexp.MustCompile(`(?:[\w!&|=<>.:()*\[\] -]+ was false\. )`)
	// wrapped is what onnxruntime_go puts before a message.
	wrapped   = regexp.MustCompile(`^(?:Error creating C session(?: from file)?|Error running network|Platform-specific initialization failed): `)
	manySpace = regexp.MustCompile(`\s+`)
)

// clean turns a native message into one line as the rest of the program writes
// them: without status codes, places in ONNX Runtime's source and line breaks,
// beginning with a small letter and ending without a full stop.
func clean(msg string) string {
	for wrapped.MatchString(msg) {
		msg = wrapped.ReplaceAllString(msg, "")
	}
	msg = statusCode.ReplaceAllString(msg, "")
	msg = sourcePlace.ReplaceAllString(msg, "")
	msg = failedCheck.ReplaceAllString(msg, "")
	msg = manySpace.ReplaceAllString(msg, " ")
	msg = strings.TrimRight(strings.TrimSpace(msg), ". ")
	if msg == "" {
		return "onnx runtime gave no reason"
	}
	first, n := utf8.DecodeRuneInString(msg)
	next, _ := utf8.DecodeRuneInString(msg[n:])
	if unicode.IsUpper(first) && !unicode.IsUpper(next) { // leave abbreviations
		msg = string(unicode.ToLower(first)) + msg[n:]
	}
	return msg
}

// nativeError is a failure that ONNX Runtime reported.
type nativeError struct {
	code int
	msg  string
}

func (e *nativeError) Error() string { return e.msg }

// wrapNative returns err, which came from onnxruntime_go, with a clean message.
func wrapNative(err error) error {
	if err == nil {
		return nil
	}
	return &nativeError{msg: clean(err.Error())}
}
