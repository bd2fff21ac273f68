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

	// maxReaders is how many calls of Block and Seek may read our store at a time, and
	// maxAskers how many may wait for neighbours; further ones wait.
	maxReaders = 32
	maxAskers  = 32
	// maxOpen is how many streams' infos are kept for readers of the past; the first
	// is forgotten.
	maxOpen = 64
	// maxRecalls is how many shards that neighbours ask for may wait to be read from
	// the store, by recallers at a time; a further one is answered: busy.
	maxRecalls = 256
	recallers  = 2
	// storedEvery is how often the Core is told what the store has.
	storedEvery = 3 * time.Second
	// carryEvery is how often the Core is told which streams the store has, for it may
	// have had no place for them before; those with the newest blocks first, maxCarried at
	// the most.
	carryEvery = time.Minute
	maxCarried = 64
	// maxCached and maxCachedBytes are how many blocks of the past that were fetched
	// are kept for their readers; the one used longest ago goes.
	maxCached      = 96
	maxCachedBytes = 32 << 20
	// firstAhead and maxFetchAhead are how many blocks are fetched ahead of a reader:
	// twice as many each time that it comes further.
	firstAhead    = 4
	maxFetchAhead = 32
	// readQuantum is how long a stretch that serves a reader is not given to another
	// who waits longer; twice as long each time that the reader has it for one thing,
	// up to readQuantumMost, in which what nobody has is found to be absent.
	readQuantum     = 250 * time.Millisecond
	readQuantumMost = 4 * time.Second
	// readPatience is how long a reader waits for a block or headers; then they are
	// absent.
	readPatience = 30 * time.Second
	// absentTime is how long a block that nobody had is not asked for again, and
	// maxAbsent how many are remembered; the first is forgotten.
	absentTime = 10 * time.Second
	maxAbsent  = 256
	// maxMarks is how many blocks' source times are remembered, and markReach how many
	// blocks away from one of them a time may be guessed; those at least markSpan apart
	// tell how long a block is.
	maxMarks  = 256
	markReach = 600
	markSpan  = 16
	// maxLookUps is how many ends of extents are looked for at a time; the others when
	// they are asked for again.
	maxLookUps = 2
	// MaxHeaders is how many headers may be asked for at once; of more none come.
	MaxHeaders = 1024
	// idleAfter is how long nobody may have waited for anything before who is in no hurry
	// has a turn.
	idleAfter = 250 * time.Millisecond
	// lookUpTime is how long the header of one end of an extent is looked for.
	lookUpTime = 5 * time.Second
	// seekBefore and seekAfter are how many blocks around the likely one have their
	// headers fetched in a seek, and maxHeaders how many before them when none can be
	// started at: maxSeekRounds times.
	seekBefore    = 28
	seekAfter     = 4
	maxHeaders    = 60
	maxSeekRounds = 10
	// seekGap is how many blocks further the next one that our store has may be for
	// its word on a time to count; seekList are looked at at once.
	seekGap  = 8
	seekList = 1024
)
