package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"math/bits"
)

// bbolt trusts its file: pages have no checksums, a damaged header or list of free pages makes later commits overwrite pages that are
// in use, and where the newest root page is damaged it goes on with the one before and so forgets the last commit without a word. So
// Open reads the file page by page before bbolt does, and refuses what bbolt would not have written. It never maps the file and never
// panics on what is in it.
//
// The layout is that of version 2, the only one that bbolt has: pages of one size, of which the first two hold a root in turns, each
// with a checksum and the number of its commit. From there a tree of pages for the root bucket, whose leaves hold the root pages of
// our buckets, or whole small buckets; and the list of free pages. Numbers are in the byte order of the machine.
const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	pageHeaderSize   = 16 // id 8, flags 2, count 2, overflow 4
	elementSize      = 16 // branch: pos 4, key size 4, page 8; leaf: flags 4, pos 4, key size 4, value size 4
	bucketHeaderSize = 16 // root page 8, sequence 8
	metaSize         = 64 // magic, version, page size, flags 4 each, root 16, free list 8, pages 8, commit 8, checksum 8

	branchPage   = 0x01
	leafPage     = 0x02
	metaPage     = 0x04
	freeListPage = 0x10

	bucketElement = 0x01

	maxPageSize = 1 << 24
	maxDepth    = 48 // of the tree: no file is large enough for more
	noFreeList  = math.MaxUint64
)

// errStructure is the fault of a file that is not as bbolt writes it.
type errStructure struct{ what string }

func (e errStructure) Error() string { return e.what }

func structure(format string, args ...any) error { return errStructure{fmt.Sprintf(format, args...)} }

// verify checks that the file is one that bbolt wrote, whole, and that its newest commit is there. An error of the reader is returned
// as it is.
func verify(file io.ReaderAt, size int64) error {
	v := &verifier{file: file, size: size}
	root, err := v.roots()
	if err != nil {
		return err
	}
	v.used = make([]uint64, (root.pages+63)/64)
	if err := v.claim(0, 2); err != nil {
		return err
	}
	if err := v.freeList(root.freeList); err != nil {
		return err
	}
	return v.tree(root.root, nil, nil, 0, v.bucket)
}

type verifier struct {
	file     io.ReaderAt
	size     int64
	pageSize uint64
	pages    uint64
	used     []uint64 // a bit for each page that something refers to
}

// metaRoot is what a root page says.
type metaRoot struct {
	pageSize                      uint32
	root, freeList, pages, commit uint64
}

// roots reads both root pages and returns the newer one. bbolt writes them in turns, so one that is damaged may be the newest commit.
func (v *verifier) roots() (metaRoot, error) {
	first, err := v.rootAt(0, 0)
	if err != nil {
		return metaRoot{}, err
	}
	v.pageSize = uint64(first.pageSize)
	if bits.OnesCount32(first.pageSize) != 1 || v.pageSize < pageHeaderSize+metaSize || v.pageSize > maxPageSize {
		return metaRoot{}, structure("pages of %d bytes", first.pageSize)
	}
	second, err := v.rootAt(1, int64(v.pageSize))
	if err != nil {
		return metaRoot{}, err
	}
	newer, older := second, first
	if first.commit > second.commit {
		newer, older = first, second
	}
	switch {
	case second.pageSize != first.pageSize:
		return metaRoot{}, structure("pages of two sizes")
	case newer.commit-older.commit != 1:
		return metaRoot{}, structure("the root pages are of the commits %d and %d", older.commit, newer.commit)
	case newer.pages > uint64(v.size)/v.pageSize:
		return metaRoot{}, structure("cut off: %d bytes of %d pages", v.size, newer.pages)
	}
	v.pages = newer.pages
	return newer, nil
}

func (v *verifier) rootAt(id uint64, offset int64) (metaRoot, error) {
	page := make([]byte, pageHeaderSize+metaSize)
	if _, err := v.file.ReadAt(page, offset); errors.Is(err, io.EOF) {
		return metaRoot{}, structure("cut off: %d bytes", v.size)
	} else if err != nil {
		return metaRoot{}, err
	}
	order, meta := binary.NativeEndian, page[pageHeaderSize:]
	sum := fnv.New64a()
	_, _ = sum.Write(meta[:metaSize-8])
	switch {
	case order.Uint64(page) != id, order.Uint16(page[8:]) != metaPage,
		order.Uint32(meta) != boltMagic, order.Uint64(meta[metaSize-8:]) != sum.Sum64():
		return metaRoot{}, structure("root page %d", id)
	case order.Uint32(meta[4:]) != boltVersion:
		return metaRoot{}, structure("version %d of bbolt", order.Uint32(meta[4:]))
	}
	return metaRoot{
		pageSize: order.Uint32(meta[8:]),
		root:     order.Uint64(meta[16:]),
		freeList: order.Uint64(meta[32:]),
		pages:    order.Uint64(meta[40:]),
		commit:   order.Uint64(meta[48:]),
	}, nil
}

// claim notes that something refers to n pages, which are there and to which nothing else refers.
func (v *verifier) claim(id, n uint64) error {
	if id >= v.pages || n > v.pages-id {
		return structure("page %d of %d", id, v.pages)
	}
	for ; n > 0; id, n = id+1, n-1 {
		if v.used[id/64]>>(id%64)&1 != 0 {
			return structure("page %d is used twice", id)
		}
		v.used[id/64] |= 1 << (id % 64)
	}
	return nil
}

// page is a page with those that it flows over into, or a bucket inside of a leaf.
type page struct {
	id    uint64
	flags uint16
	count int
	data  []byte
}

func parsePage(data []byte) page {
	order := binary.NativeEndian
	return page{order.Uint64(data), order.Uint16(data[8:]), int(order.Uint16(data[10:])), data}
}

// read claims and reads a page.
func (v *verifier) read(id uint64) (page, error) {
	if id < 2 || id >= v.pages {
		return page{}, structure("page %d of %d", id, v.pages)
	}
	data := make([]byte, v.pageSize)
	if _, err := v.file.ReadAt(data, int64(id*v.pageSize)); err != nil {
		return page{}, err
	}
	overflow := uint64(binary.NativeEndian.Uint32(data[12:]))
	if err := v.claim(id, 1+overflow); err != nil {
		return page{}, err
	}
	if overflow > 0 {
		data = make([]byte, v.pageSize*(1+overflow))
		if _, err := v.file.ReadAt(data, int64(id*v.pageSize)); err != nil {
			return page{}, err
		}
	}
	p := parsePage(data)
	if p.id != id {
		return page{}, structure("page %d says that it is %d", id, p.id)
	}
	return p, nil
}

// freeList checks that every page in the list is there once.
func (v *verifier) freeList(id uint64) error {
	if id == noFreeList {
		return nil
	}
	p, err := v.read(id)
	if err != nil {
		return err
	}
	ids, n := p.data[pageHeaderSize:], uint64(p.count)
	if p.flags != freeListPage {
		return structure("page %d is no list of free pages", id)
	}
	if n == math.MaxUint16 { // the count did not fit, and stands first
		n = binary.NativeEndian.Uint64(ids)
		ids = ids[8:]
	}
	if n > uint64(len(ids))/8 {
		return structure("a list of %d free pages", n)
	}
	for i := range n {
		if err := v.claim(binary.NativeEndian.Uint64(ids[8*i:]), 1); err != nil {
			return err
		}
	}
	return nil
}

// tree checks the pages of one bucket: keys rise, and lie between those that the page above has for this one and for the next, so that
// every key is found. Each leaf's keys and values go to visit.
func (v *verifier) tree(id uint64, low, high []byte, depth int, visit func(flags uint32, value []byte) error) error {
	if depth > maxDepth {
		return structure("a tree of more than %d pages in depth", maxDepth)
	}
	p, err := v.read(id)
	if err != nil {
		return err
	}
	switch p.flags {
	case leafPage:
		return p.leaf(low, high, visit)
	case branchPage:
	default:
		return structure("page %d of kind %x", id, p.flags)
	}
	if p.count == 0 {
		return structure("page %d leads nowhere", id)
	}
	order := binary.NativeEndian
	keys, below := make([][]byte, p.count+1), make([]uint64, p.count)
	for i := range p.count {
		at := pageHeaderSize + i*elementSize
		if at+elementSize > len(p.data) {
			return structure("page %d has %d elements", id, p.count)
		}
		below[i] = order.Uint64(p.data[at+8:])
		if keys[i], err = p.slice(at, order.Uint32(p.data[at:]), order.Uint32(p.data[at+4:])); err != nil {
			return err
		}
		if i > 0 && bytes.Compare(keys[i-1], keys[i]) >= 0 || i == 0 && bytes.Compare(keys[i], low) < 0 ||
			high != nil && bytes.Compare(keys[i], high) >= 0 {
			return structure("the keys of page %d", id)
		}
	}
	keys[p.count] = high
	for i := range below {
		if err := v.tree(below[i], keys[i], keys[i+1], depth+1, visit); err != nil {
			return err
		}
	}
	return nil
}

// leaf checks the elements of a leaf.
func (p page) leaf(low, high []byte, visit func(flags uint32, value []byte) error) error {
	order := binary.NativeEndian
	last := low
	for i := range p.count {
		at := pageHeaderSize + i*elementSize
		if at+elementSize > len(p.data) {
			return structure("page %d has %d elements", p.id, p.count)
		}
		pos, keySize, valueSize := order.Uint32(p.data[at+4:]), order.Uint32(p.data[at+8:]), order.Uint32(p.data[at+12:])
		key, err := p.slice(at, pos, keySize)
		if err != nil {
			return err
		}
		if c := bytes.Compare(last, key); c > 0 || i > 0 && c == 0 || high != nil && bytes.Compare(key, high) >= 0 {
			return structure("the keys of page %d", p.id)
		}
		last = key
		if valueSize > math.MaxUint32-keySize {
			return structure("an element of page %d", p.id)
		}
		both, err := p.slice(at, pos, keySize+valueSize)
		if err != nil {
			return err
		}
		if err := visit(order.Uint32(p.data[at:]), both[keySize:]); err != nil {
			return err
		}
	}
	return nil
}

// slice returns size bytes of the page, pos after the element at at. They come after all elements.
func (p page) slice(at int, pos, size uint32) ([]byte, error) {
	begin := uint64(at) + uint64(pos)
	if begin < uint64(pageHeaderSize+p.count*elementSize) || begin+uint64(size) > uint64(len(p.data)) {
		return nil, structure("an element of page %d", p.id)
	}
	return p.data[begin : begin+uint64(size)], nil
}

// bucket checks a bucket of ours, which stands in a leaf of the root bucket.
func (v *verifier) bucket(flags uint32, value []byte) error {
	if flags != bucketElement || len(value) < bucketHeaderSize {
		return structure("the root bucket holds something else than buckets")
	}
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		return v.tree(root, nil, nil, 0, plain)
	}
	inline := value[bucketHeaderSize:]
	if len(inline) < pageHeaderSize {
		return structure("a bucket of %d bytes", len(inline))
	}
	if p := parsePage(inline); p.flags == leafPage {
		return p.leaf(nil, nil, plain)
	}
	return structure("a small bucket that is no leaf")
}

// plain expects a value that is no bucket.
func plain(flags uint32, _ []byte) error {
	if flags != 0 {
		return structure("a bucket in a bucket")
	}
	return nil
}
