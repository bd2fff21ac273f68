package pull

import "time"

// Every bound and default time of this package.
const (
	// IdealNeighbours is how many neighbours a participant looks for.
	IdealNeighbours = 6
	// MaxNeighbours is how many it has at the most, and so how many it serves. Who
	// would be another is told no, unless it is lonely.
	MaxNeighbours = 8
	// lonelyBelow is the number of neighbours below which one is lonely, as one is of whose
	// stripes some are held by fewer than two: one who has
	// eight parts with one of them in its favour, every displaceEvery at the most,
	// and with none that has come less than settleTime ago.
	lonelyBelow   = 3
	displaceEvery = 2 * time.Second
	settleTime    = 5 * time.Second
	// maxTakers is how many neighbours of one who pulls may offer nothing, for want of
	// upload. Who would be another is told no, unless it is lonely and one of them is not.
	maxTakers = 4
	// maxProposals is how many proposals to be neighbours wait for an answer at a time.
	maxProposals = 3
	// proposeWait is how long a connected one may think about it, and dialWait how
	// long one that must be dialled first. Then it is shunned for shunTime.
	proposeWait = time.Second
	dialWait    = 3 * time.Second
	// shunTime is how long one who would not be a neighbour, or was no good as one, is
	// not asked again; maxShuns of them are remembered, then the first is forgotten.
	// One who is lonely and was told no asks again after shunLonely: a place may be made
	// for it.
	shunTime   = 30 * time.Second
	shunLonely = settleTime
	maxShuns   = 64
	// seekEvery separates two looks for a neighbour while one is missing.
	seekEvery = 250 * time.Millisecond
	// enoughWhole is how many neighbours should have enough stripes for a block. While there
	// are fewer, one with fewer stripes is exchanged for one with everything, looked for
	// every exchangeEvery.
	enoughWhole   = 3
	exchangeEvery = time.Second
	// reviewEvery is how often neighbours that give little are parted with, one at a
	// time: who answered less than a quarter of at least reviewTries wants.
	reviewEvery = 15 * time.Second
	reviewTries = 12

	// stateEvery is how often a neighbour is told everything; one who carries less
	// than k stripes says it as much less often, but every stateMost.
	stateEvery = 2 * time.Second
	stateMost  = 10 * time.Second
	// silentStates is for how many of its intervals a neighbour may say nothing before
	// it is given up.
	silentStates = 3
	// holeAge is how long after its time a block must lack something before neighbours
	// are told: most holes are filled by then, and a Lack tells of the others.
	holeAge = 300 * time.Millisecond
	// eventEvery is the least time between two Holes.
	eventEvery = 500 * time.Millisecond
	// answerEvery is the least time between two answers to one neighbour's question
	// what we hold.
	answerEvery = 200 * time.Millisecond
	// stillMin is the least time without any shard after which neighbours are asked
	// what they hold, probeAtOnce of them, every probeEvery, doubling up to probeMost
	// while nobody has anything newer.
	stillMin    = 300 * time.Millisecond
	probeAtOnce = 2
	probeEvery  = 250 * time.Millisecond
	probeMost   = 2 * time.Second

	// MaxBlocks is how many live blocks are looked after; as many as a window holds.
	// The oldest is forgotten.
	MaxBlocks = 256
	// MaxOutstanding is how many shards are asked for at a time. When all are, what is
	// due later waits.
	MaxOutstanding = 32
	// maxEach is how many of them may be asked of one neighbour while four or more
	// share them; it halves with each failure in a row, down to 2.
	maxEach = 8
	// maxHistory is how many of them may be of history, and in the same part of what is
	// asked of each neighbour, so that live blocks need not wait.
	maxHistory = 24
	// sayEvery is the least time between two Wants to one neighbour, but for sayAhead
	// of them after a while; what is to be asked in between goes with the next.
	sayEvery = 20 * time.Millisecond
	sayAhead = 3
	// spareShards is how many more than are needed are asked for once no more than spareLeft
	// is left until the block is played. It is to be held back for a while.
	spareShards = 1
	spareLeft   = 700 * time.Millisecond
	// retryMin is the least time that an answer may take before somebody else is
	// asked, and retryMargin what it may take beyond 2·SRTT + 4·RTTVAR, up to half of
	// the time left. While a third of the time left is more it may take retryLong, or where answers
	// take longer their mean + 4 deviations, retryMost at the most.
	retryMin    = 150 * time.Millisecond
	retryLong   = 400 * time.Millisecond
	retryMost   = 500 * time.Millisecond
	retryMargin = 20 * time.Millisecond
	// muteMin is the least time without anything from anyone, or one and a half blocks,
	// after which it is our own path: then somebody else is asked only after muteMost.
	muteMin  = 100 * time.Millisecond
	muteMost = time.Second
	// unknownRTT stands for the round trip to a neighbour that was not measured yet.
	unknownRTT = 100 * time.Millisecond
	// finishTime is what checking and rebuilding take at the end: what comes later
	// than this before the deadline is of no use.
	finishTime = 20 * time.Millisecond
	// patienceMin, but a patienceShare-th of Config.Delay, is the least time that a block
	// is given, and patienceFirst the time until it is known how long they take. The most
	// is three eighths of Config.Delay.
	patienceMin   = 30 * time.Millisecond
	patienceShare = 4
	patienceFirst = 250 * time.Millisecond
	// tailStep is how finely it is learnt when push still brings something of a block that
	// is short, and tailSteps up to which age: 3.2 s. Of each step some 16 blocks count.
	tailStep  = 50 * time.Millisecond
	tailSteps = 64
	tailKeep  = 15.0 / 16
	// tailMost is how many shards push may be expected to bring of a block in the next
	// tailAhead steps, about as long as an answer takes, when something of it is asked for.
	// With tailLeft left until it is played it is asked for whatever is expected; then
	// what is silent is asked for although the block is not due.
	tailMost  = 0.05
	tailAhead = 2
	tailLeft  = 1200 * time.Millisecond
	// lackTime is for how long one who lacks a shard of a block that it should be
	// getting now is not asked for it again, and lackLong the same for other blocks.
	// maxLacks of them are remembered of a neighbour; then the first is forgotten.
	lackTime = 150 * time.Millisecond
	lackLong = 10 * time.Second
	maxLacks = 128
	// busyTime is for how long one who is busy is asked for nothing; it doubles each
	// time in a row, up to busyMost.
	busyTime = 100 * time.Millisecond
	busyMost = 2 * time.Second
	// maxFails is how many times in a row what was asked of a neighbour may fail to come,
	// while something comes from others, before it is parted with; from weakFails on it
	// does not count as one of IdealNeighbours.
	maxFails  = 5
	weakFails = 2
	// owedTime is for how long a shard that is not waited for any more may still come,
	// or come again, without being unasked; maxOwed of them are remembered of a neighbour, then the
	// first is forgotten.
	owedTime = 5 * time.Second
	maxOwed  = 256
	// MaxUnasked is how many shards that nobody asked for a peer may send. Then it is
	// hung up on.
	MaxUnasked = 3
	// strayTime is after how long without another one they are forgotten: in the life of
	// a connection some answer comes too late to be known.
	strayTime = time.Minute
	// againEvery is how soon it is looked again whether somebody can be asked for what
	// could not be asked for now.
	againEvery = 25 * time.Millisecond
	// clockJump is by how much blocks in a row, clockBlocks of them, must come later
	// than their source time says before its clock is taken to have been set back.
	clockJump   = 5 * time.Second
	clockBlocks = 3
	// clockTurn is for how long the fastest arrival counts, up to twice.
	clockTurn = 30 * time.Second

	// MaxAhead is how many blocks of history are fetched at a time, at the most.
	MaxAhead = 64
	// skipAtOnce is how many blocks of history that are there already are passed over
	// in one step.
	skipAtOnce = 256
	// absentAfter is how long nobody may have enough of a block of history before it is
	// given up. It is absentSaid if there are absentMany neighbours, who say what they
	// have not, and absentAlone while there is none at all: then one may come.
	absentAfter = 3 * time.Second
	absentSaid  = time.Second
	absentMany  = 3
	absentAlone = 10 * time.Second

	// ServeShare is the share of the upload that the caller's Meter should be given:
	// what is pulled must not delay what is pushed.
	ServeShare = 0.25
	// MaxQueued is how many shards one neighbour may be waiting for: as many as one who
	// keeps to the rules asks for at all. What is more gets the answer busy.
	MaxQueued = MaxOutstanding
	// serveWait is how long a shard may be expected to wait for the meter; what would
	// wait longer is refused at once. serveStale is how long it may wait at all: by
	// then somebody else was asked.
	serveWait  = 250 * time.Millisecond
	serveStale = 400 * time.Millisecond
	// serveExpires is how long a shard that is served is worth sending.
	serveExpires = time.Second
	// wantRate is how many shards a neighbour may ask for in a second. What is over is
	// not even answered: one who keeps to MaxOutstanding asks for 32 in 150 ms at the
	// most, and of eight neighbours.
	wantRate = 250
	// askEvery is the least time between two shards asked of one neighbour, but for
	// askAhead of them after a while: no more than wantRate in any second.
	askEvery = 5 * time.Millisecond
	askAhead = MaxOutstanding
	// strangerEvery is the least time between two answers to somebody who asks for
	// shards and is no neighbour.
	strangerEvery = 100 * time.Millisecond
)
