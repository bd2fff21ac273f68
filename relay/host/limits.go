package host

import "time"

const (
	// maxInputs is how many inputs from workers and the source may wait for the
	// loop; then they wait.
	maxInputs = 1024
	// maxWork is how much work may wait for a worker; then the loop does it itself.
	maxWork = 1024
	// maxMedia is how many outputs may wait for the player; then the newest is
	// dropped and counted, for the loop must not wait.
	maxMedia = 4096
	// measureEvery is how often round-trip times are read, and who is quiet.
	measureEvery = 200 * time.Millisecond
	// JoinPatience is how long an unreachable pool is tried.
	JoinPatience = 15 * time.Second
	// rejoinEvery is how often the hosts given are dialled while nobody answers.
	rejoinEvery = time.Second
	// leavePatience is how long a goodbye may take.
	leavePatience = 2 * time.Second

	// maxReaders is how many calls of Block and Seek may be under way; further ones
	// wait.
	maxReaders = 32
	// maxOpen is how many streams' infos are kept for readers of the past; the first
	// is forgotten.
	maxOpen = 64
)
