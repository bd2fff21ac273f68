package overlay

import "time"

// Every bound and default time of this package.
const (
	// MaxMessage is the longest encoded message, in bytes. A longer one ends the
	// connection.
	MaxMessage = 4096
	// MaxDepth is the most hops from the source at which children are still
	// let in.
	MaxDepth = 6
	// MaxPath is the most nodes in a path. Whose parent is moved below MaxDepth keeps its
	// children till then, and looks for a place nearer to the source meanwhile.
	MaxPath = 8
	// MaxAlternatives is how many other parents a refusal names.
	MaxAlternatives = 4
	// MaxSample is how many records an answer to Ask holds.
	MaxSample = 16
	// MaxRuns is how many stretches of blocks a Window tells of; the newest ones.
	MaxRuns = 4
	// MaxHoles is how many blocks a Window or Holes says something is missing of. What
	// lies before is not told of at all.
	MaxHoles = 64
	// MaxPieces is how many blocks a Want, Lack or Cancel names: as many shards as may
	// be asked for at a time, were each of another block.
	MaxPieces = 32
	// MaxReceipts is how many receipts are shown; those of the most are.
	MaxReceipts = 8
	// ReceiptEvery is a period: how often a giver is thanked.
	ReceiptEvery = 10 * time.Second
	// receiptPeriods is how many periods ago a receipt may be of, to count.
	receiptPeriods = 3
	// MaxAfter is how long a shard may be asked to be held back.
	MaxAfter = 500 * time.Millisecond
	// MaxRedirects is how many refusals' alternatives are followed in one search.
	MaxRedirects = 4
	// MaxTried is how many candidates one round of a search asks.
	MaxTried = 12
	// fullEnough is how many must have refused for want of a slot before somebody is
	// asked as a last resort, who then may dismiss one that has more stripes.
	fullEnough = 3
	// enoughFull is after how many of them who gets nothing may begin to feed others.
	enoughFull = 5
	// enoughDead is after how many who should have answered, and did not, they may do so too.
	enoughDead = 2
	// Choice is among how many candidates, drawn by chance, the best is taken.
	Choice = 5
	// Roots is how many relays the source feeds in each stripe, when its uplink
	// allows it; more only if they found no other parent.
	Roots = 2
	// maxProbes is how many candidates are asked for anything newer when no parent
	// says anything, before the source is.
	maxProbes = 3
	// maxWarm is how many backups are dialled at a time, every tidyEvery.
	maxWarm = 4
	// overlapPart is the part of the slots, one in so many, that may be fed beyond
	// them while those who were displaced find another parent.
	overlapPart = 8

	// hurried is how many may be on their way out, or be shown out at once, for others
	// who will feed somebody in the stripe.
	hurried = 4
	// spareSlots is the part of the slots, one in so many, that must be free for a
	// stripe to become a home stripe because somebody asks for it.
	spareSlots = 8

	// needHomes is how many more home stripes than m one takes that somebody asks for in
	// need; they are given up again when others feed them.
	needHomes = 2

	// spareHome is how many slots others must have free in a stripe before it is given
	// up as a home stripe because we feed nobody there.
	spareHome = 4
	// reservePart is the part of a source's slots, one in so many, that newcomers
	// do not get.
	reservePart = 8
	// manyNetworks is how many networks must be known before what one of them may
	// feed us is limited: to one in stripesPerNetwork of the stripes, and to
	// parentsPerNetwork parents.
	manyNetworks      = 8
	stripesPerNetwork = 4
	parentsPerNetwork = 2
	// maxUnfit is how many candidates that would not be a stripe's backup are
	// remembered; the oldest is forgotten.
	maxUnfit = 8
	// unfitEnough is how many of them there are when nobody is asked any more who says
	// that it is full.
	unfitEnough = 4

	// arrivalSpan is of how many block numbers the first arrival is remembered.
	arrivalSpan = 128
	// lagParts is how much a block counts in what is smoothed of its stripe's lag: one in
	// so many.
	lagParts = 8
	// devParts is the same for how much that varies.
	devParts = 4
	// maxChanges is how many changes of parents are remembered; the oldest is forgotten.
	maxChanges = 32
	// tardyMost is how many blocks, less two for each that came in time, a parent
	// may bring too late.
	tardyMost = 10

	// resumeTime is how long what comes from a new parent may be of the past.
	resumeTime = 2 * time.Second
	// gather is how long a newcomer that knows no candidate waits for records
	// before it turns to the source.
	gather = 250 * time.Millisecond
	// seenSpan is how many block numbers of a stripe are remembered; older ones
	// are not asked for again.
	seenSpan = 256
	// answerWait is how long a connected candidate may think about a request
	// before the next is asked as well.
	answerWait = 250 * time.Millisecond
	// urgentWait is how long, beyond two round trips, when nothing is fed meanwhile.
	urgentWait = 20 * time.Millisecond
	// hopeWait is how long one who was not ready is waited for, when there is nobody
	// else, maxHopes times in a round.
	hopeWait = 150 * time.Millisecond
	maxHopes = 4
	// urgentAsks is how many connected ones are then asked at the same time, and
	// one more for every fullAsks that had no slot free, for the stripe is scarce, and for
	// every deadAsks that should have answered, and did not.
	urgentAsks = 2
	fullAsks   = 3
	deadAsks   = 2
	// urgentDials is how many are then dialled at the same time.
	urgentDials = 2
	// urgentDialWait is how long those are waited for before another is dialled, or the
	// source is asked.
	urgentDialWait = 120 * time.Millisecond
	// dialWait is the same for one that must be dialled first.
	dialWait = 600 * time.Millisecond
	// giveUp is how long an unanswered request is waited for at all.
	giveUp = 3 * time.Second
	// urgentGiveUp is the same when nothing is fed meanwhile and the source is short of
	// uplink.
	urgentGiveUp = 800 * time.Millisecond
	// awaitTime is how long somebody who was refused is let in after all if that becomes
	// possible, and courtTime how long who refused may accept. maxWaiting wait for a
	// stripe; of more those go who come last in turn. Of maxCourted who were asked the
	// first is forgotten.
	awaitTime  = time.Second
	courtTime  = 1500 * time.Millisecond
	maxWaiting = 16
	maxCourted = 2 * MaxTried
	// searchPause separates two rounds of a search that found nobody; it doubles
	// up to searchPauseMax.
	searchPause    = 200 * time.Millisecond
	searchPauseMax = 5 * time.Second
	// scarcePause is the same where all who were asked are full. A round after a rest of
	// more than briefAfter for that reason asks fewTried. Such a rest ends within rouseEach
	// times how many relays are known once somebody has room.
	scarcePause = time.Minute
	briefAfter  = 500 * time.Millisecond
	fewTried    = 4
	rouseEach   = 50 * time.Millisecond
	// hollowTime is how long room is not believed in that a record promises and its node
	// refused; it doubles each time, up to hollowMax. Of more than maxHollow nodes the one
	// that is believed again first is forgotten.
	hollowTime = 20 * time.Second
	hollowMax  = 5 * time.Minute
	maxHollow  = 256
	// probePause is the least rest after asking whether it is only the source that
	// pauses.
	probePause = time.Second
	// silentMin is the least silence that condemns a parent while other stripes
	// progress.
	silentMin = 300 * time.Millisecond
	// usualMost is how much silence most stripes' usual lateness excuses, at the most; and
	// no more than half of what viewers wait.
	usualMost = time.Second
	// stillMin is the least silence that makes us look elsewhere when nothing
	// progresses at all.
	stillMin = 500 * time.Millisecond
	// tidyEvery is how often stripes taken from the source for want of a relay
	// look for one, and home stripes are reconsidered.
	tidyEvery = time.Second
	// betterEvery is how often a nearer parent is looked for, up to twice as late; in a
	// home stripe one that is farHops nearer to the source, every other tidyEvery.
	betterEvery = 5 * time.Second
	farHops     = 2
	// ruleEvery is how seldom, one tidyEvery in so many, another parent is looked for where
	// somebody stands in more than m of our stripes.
	ruleEvery = 4
	// standbyEvery is how often a backup is asked whether it still would, and how
	// long one that would not is left alone.
	standbyEvery = 20 * time.Second
	// repairWait is how long a parent that says it is looking for another is
	// waited for, and repairMax how long that may go on.
	repairWait = time.Second
	repairMax  = 1500 * time.Millisecond
	// rootStay is how long a relay above Roots may stay at the source before it is
	// asked, again, to move.
	rootStay = 2 * time.Second
	// rootReturn is how much longer one may stay that has come back from there.
	rootReturn = 10 * time.Second
	// homeStay is how long one is kept at least that has children.
	homeStay = 10 * time.Second
	// shedTime is how long children of a home stripe that is given up are still fed.
	shedTime = time.Second
	// youth is how long a newcomer has youngHomes home stripes at the most, until it
	// knows others.
	youth      = 2 * time.Second
	youngHomes = 3
	// manyRelays is how many relays a newcomer must have been told of to have no more
	// than one home stripe until then: there are most likely many more of them, as there
	// are if it hears no gossip.
	manyRelays = MaxSample * 3 / 4
	// stuckAfter is how long nothing may come on a stripe before who has free slots
	// takes it as a home stripe, to get in before a leaf.
	stuckAfter = 700 * time.Millisecond
	// rescuers is which part, one in so many, of those whom nobody would feed a stripe
	// begin to feed it to others.
	rescuers = 8
	// rootTrust is how long a source short of uplink believes in a relay that it
	// feeds, whatever others say of it.
	rootTrust = 5 * time.Second
	// lastBlocks is how many blocks before the last one a stripe waits for before
	// it lets go of its parent, and endPatience for how long.
	lastBlocks  = 8
	endPatience = 2 * time.Second
	// ShowEvery is how often a peer is asked for its receipts, while slots are short, until
	// it gives; then every showAgain, and shownTime is how long what it showed counts.
	ShowEvery = 5 * time.Second
	showAgain = 20 * time.Second
	shownTime = 60 * time.Second
	// proveTime is how long, from when it could have given on, one that offers slots is
	// believed to give though nobody says so: it may have come just now.
	proveTime = 30 * time.Second
	// recallTime is how long it is remembered, though it went or did not ask, that one
	// showed nothing all that time; and of maxGone who went at the most; of more the first
	// to go that did not fail to show is forgotten.
	recallTime = 5 * time.Minute
	maxGone    = 256
	// leastGiven is how many slots others must say that a peer uses for it to give.
	leastGiven = 0.5
	// optimistic is the part of the slots, one in so many, that are given at first to those
	// who only say that they give, in the place of those who do not, and trialPart that
	// which is given to such as time goes on.
	optimistic = 4
	trialPart  = 16
	// maxAskers is how many wait at a time for their answer until they have shown what they
	// give; others are answered at once.
	maxAskers = 64
	// farewell is how long a participant that leaves still feeds its children.
	farewell = 600 * time.Millisecond
)
