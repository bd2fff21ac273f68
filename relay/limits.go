package relay

import "time"

// Every bound of this package; those of the queues stand beside them in
// outbox.go and bucket.go.
const (
	// MaxStreams is how many streams a participant carries. A further one is not
	// taken up, unless one of those rests: then it is on trial beside them.
	MaxStreams = 4
	// maxOffers is how many streams of a pool who looks is told of; further ones are left
	// out. maxLooks is of how many it asks the infos at a time, and lookAgain separates
	// questions about the same.
	maxOffers = 1024
	maxLooks  = 16
	lookAgain = time.Second
	// trialTime is how long nothing may come of a stream on trial. It is not tried
	// again for barrenTime; of more than maxBarren such streams the first is forgotten.
	trialTime  = 30 * time.Second
	barrenTime = 10 * time.Minute
	maxBarren  = 64
	// nextToNothing is how many times as many blocks of a stream our store must have as
	// of another that rests, to be carried in its place.
	nextToNothing = 10
	// MaxWindowBlocks, MaxWindowAge and MaxWindowBytes bound the window of one
	// stream: blocks, source time behind the newest, bytes of shards. When one is
	// passed the oldest block goes.
	MaxWindowBlocks = 256
	MaxWindowAge    = 20 * time.Second
	MaxWindowBytes  = 64 << 20
	// MaxUnproven is how many blocks ahead of the proved ones may wait for their
	// first signature check. When full, further shards are dropped.
	MaxUnproven = 64
	// MaxWaiting is how many shards of one block wait while its first is checked.
	MaxWaiting = 128
	// MaxStrikes is how many proven bad shards a peer may send.
	MaxStrikes = 3
	// MaxPeers is how many connected peers a participant keeps; a further one is
	// hung up on.
	MaxPeers = 512

	// checkRate bounds what a peer can make us spend on signatures: this many a
	// second, with a burst of checkBurst. What is over is dropped unchecked. An
	// honest parent needs one a block, which may be of stripe.MinBlockTime, and
	// several while it fills a newcomer's window.
	checkRate  = 110
	checkBurst = 128
	// messageRate bounds what a peer may say, in messages a second, with a burst
	// of messageBurst: a viewer that loses a parent of every stripe says less, and
	// a neighbour's Wants, Cancels and Lacks are 200 at the most.
	// Who says more is hung up on.
	messageRate  = 250
	messageBurst = 600
	// expireEvery is how often records that have outlived their TTL are dropped.
	expireEvery = 10 * time.Second
	// rootEvery is how often the source of a stream of which nothing comes is
	// dialled, whatever happened before.
	rootEvery = time.Second
	// resumeSpan is how far back a child may resume with the oldest first; if that is
	// longer ago it begins with the newest and is metered, like a newcomer.
	resumeSpan = 3 * time.Second
	// resumeNewest is how many shards of a stripe who resumes is sent first, the newest of
	// what it asks for, catchUpBatch at a time: a silent parent is replaced within 0.8 s,
	// most of the time, and
	// 1.5 s when many die, and at a pace a shard of that time would come too late to be
	// played, or to rebuild what is played. What is older comes at resumePace times the
	// stripe's rate. It has been pulled meanwhile, if it was needed, or was there before:
	// one asks for all from the first hole on. With eight a viewer of F6 skipped five blocks
	// that it does not skip with sixteen. Sent in one go they were of no more use: three runs each
	// of F1, F6 and F18.1 skip nothing either way.
	resumeNewest = 16
	resumePace   = 1.5
	// resumeDebt is how far children that resume may overdraw what is left of the
	// upload; then they wait too.
	resumeDebt = 500 * time.Millisecond
	// maxHeld is how many others' receipts are kept of a stream, of those we sent shards
	// to; the oldest goes, and of one period the one of the fewest shards.
	maxHeld = 64
	// maxAsked is how many of our questions a peer may still answer; further
	// answers' records are ignored.
	maxAsked = 16
	// MaxBans is how many nodes are shut out, each for banTime, for bad shards.
	// The first is let in again when there are more.
	MaxBans = 256
	banTime = 10 * time.Minute
	// queueWait is how long a shard waits for a slow child before it is dropped;
	// at least three block times.
	queueWait = 150 * time.Millisecond
	// catchUpWait is the same for what a newcomer is sent of the past.
	catchUpWait = 2 * time.Second
	// catchUpBatch shards of the past are sent every quarter of a block time:
	// twenty-four times as fast as they were made, if the upload allows it.
	catchUpBatch = 6
	// catchUpShare is the share of the upload that newcomers may be sent of the
	// past, all together, however many children there are. Beyond it they wait.
	catchUpShare = 0.2
	// freshMin is the least time for which a newcomer is sent the past; otherwise
	// it is as long as it began behind. Later it is too old to be played.
	freshMin = time.Second
	// laneRate is how many bits a second one QUIC connection is trusted with:
	// NewReno at 10 % loss carries little more.
	laneRate = 500_000
	// askEvery separates questions for a stream that nobody told us of yet.
	askEvery = 500 * time.Millisecond
	// formerTime is how long after a peer last fed us its shards are taken without
	// having been asked for: our Leave and what it sent before may each be under way for
	// five seconds.
	formerTime = 15 * time.Second
	// lookEvery is how often pull is told how the forest stands.
	lookEvery = 100 * time.Millisecond
	// connectionsEvery is how often it is looked which connections are needed.
	connectionsEvery = 200 * time.Millisecond
	// lingering is how long a stream that ended is kept for those who are late.
	lingering = 30 * time.Second
	// maxPast is how many ended epochs are remembered, so that an old info does
	// not open them again; the oldest is forgotten.
	maxPast = 64
	// MaxStretches is how many stretches of a stream's past our store is asked for;
	// of more the newest count.
	MaxStretches = 16
	// stillLive is the least time after its newest block for which a stream is said to
	// be live.
	stillLive = time.Second
	// restAfter is how long nothing may come of a stream before it rests: it counts no
	// more when upload and places are shared out.
	restAfter = 30 * time.Second
	// extentGap is how many blocks may lie between two stretches of the past that are
	// told as one: what neighbours have is known two seconds late.
	extentGap = 64
	// restShare is the share of the upload that neighbours may pull while nothing is
	// live.
	restShare = 0.8
	// newerEvery is how often it is looked whether somebody has a later run of a
	// stream.
	newerEvery = time.Second
)
