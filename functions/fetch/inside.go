package fetch

// inside searches bodies in another way than for a plain string in what is stored:
// for an expression, with the place of the match, in what gzip holds.
type inside struct {
	searcher searcher
	gunzip   *gunzip // nil: bodies are searched as they are stored
	locates  bool

	key      string // of the body
	encoding string // its Content-Encoding
	began    bool
	packed   bool
}

// newInside gives what ev needs; nil: a plain search, or none. p is ev's expression.
// stopped says whether nobody wants to know any more.
func newInside(ev Event, p *pattern, stopped func() bool) *inside {
	if ev.Find == nil || !ev.Locate && !ev.Decompress && !ev.FindRegexp {
		return nil
	}
	in := &inside{locates: ev.Locate}
	switch {
	case ev.FindRegexp:
		in.searcher = newExpressionFinder(p, ev.Locate, stopped)
	case ev.Locate:
		in.searcher = newLineFinder(*ev.Find)
	default:
		in.searcher = stringFinder{newFinder(*ev.Find)}
	}
	if ev.Decompress {
		in.gunzip = newGunzip(in.searcher, stopped)
	}
	return in
}

// reset begins a body of the same key.
func (in *inside) reset() {
	in.encoding, in.began, in.packed = "", false, false
	if in.gunzip != nil {
		in.gunzip.reset() // before the searcher: where gzip breaks off, it still gets the text that was held back
	}
	in.searcher.reset()
}

// pieceBytes is how much of a body is searched at once. A large one may come in pieces
// of 8 MB, of which an excerpt would keep a whole one for each worker.
const pieceBytes = 32 << 10

func (in *inside) write(p []byte) {
	if !in.began {
		in.began = true
		in.packed = in.gunzip != nil && isGzip(in.key, in.encoding)
	}
	for len(p) > 0 {
		wakeMonitor() // an expression can take a tenth of a second for a piece
		piece := p[:min(len(p), pieceBytes)]
		p = p[len(piece):]
		if in.packed {
			in.gunzip.write(piece)
		} else {
			in.searcher.write(piece)
		}
	}
}

// end says that the body has ended. It fails where the body is not the gzip that it
// is said to be.
func (in *inside) end() error {
	if in.packed {
		if err := in.gunzip.end(); err != nil {
			return err
		}
	}
	in.searcher.end()
	return nil
}

func (in *inside) close() {
	if in.gunzip != nil {
		in.gunzip.feed.close()
	}
	in.searcher.close()
}

// match is what there is to say about the match in the current body.
func (in *inside) match(key string) Match {
	m := Match{Key: key}
	if in.locates {
		offset, line := in.searcher.locate()
		m.Offset, m.Line = &offset, line
	}
	return m
}
