package ffmpeg

import "time"

// Every bound on what a program may do to us.
const (
	// maxWords is how much of a program's last words is kept, in bytes; the oldest go.
	maxWords = 4 << 10
	// maxTold is how much of them an error tells, in bytes, of the last toldLines.
	maxTold   = 300
	toldLines = 3
	// idleTime is how long a live input that has begun may bring nothing; then its
	// program is killed.
	idleTime = 15 * time.Second
	// beginTime is how long one that had brought something before may take to bring
	// anything once it was started again; then it is killed too. The first start is
	// waited for: whoever is to send may come much later.
	beginTime = time.Minute
	// endTime is how long a program that was killed may keep its pipes open.
	endTime = 2 * time.Second
)
