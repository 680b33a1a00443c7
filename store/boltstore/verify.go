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

// bbolt trusts its file. Its pages have no checksums. A damaged header or list of free pages makes
// later commits overwrite pages in use. If the newest root page is damaged, bbolt silently uses the
// previous one, and the last commit is lost. So Open reads the file page by page before bbolt does,
// and refuses what bbolt would not have written. It does not map the file, and no content of the
// file makes it panic.
//
// The format is version 2, the only one of bbolt. All pages have one size. The first two are the
// root pages, which commits write in turns; each has a checksum and the number of its commit. A
// root page refers to the list of free pages and to the tree of the root bucket. The leaves of that
// tree contain the root pages of our buckets, or small buckets as a whole. Numbers are in the byte
// order of the machine.
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
	maxDepth    = 48 // of a tree: no file is large enough for more
	noFreeList  = math.MaxUint64
)

// structureError says how a file differs from what bbolt writes.
type structureError struct{ text string }

func (e structureError) Error() string { return e.text }

func structureErrorf(format string, args ...any) error {
	return structureError{fmt.Sprintf(format, args...)}
}

// verify checks that bbolt wrote the whole file, and that its newest commit is present. It returns
// an error of the reader unchanged.
func verify(file io.ReaderAt, size int64) error {
	v := &verifier{file: file, size: size}
	root, err := v.newestRoot()
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
	return v.tree(root.root, keyRange{}, 0, v.bucket)
}

type verifier struct {
	file     io.ReaderAt
	size     int64
	pageSize uint64
	pages    uint64
	used     []uint64 // a bit for each page that another page refers to
}

// metaRoot is the content of a root page.
type metaRoot struct {
	pageSize                      uint32
	root, freeList, pages, commit uint64
}

// newestRoot reads both root pages and returns the newer one. Both must be valid: a damaged one may
// be the newest commit.
func (v *verifier) newestRoot() (metaRoot, error) {
	first, err := v.rootAt(0, 0)
	if err != nil {
		return metaRoot{}, err
	}
	v.pageSize = uint64(first.pageSize)
	if bits.OnesCount32(first.pageSize) != 1 || v.pageSize < pageHeaderSize+metaSize || v.pageSize > maxPageSize {
		return metaRoot{}, structureErrorf("pages of %d bytes", first.pageSize)
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
		return metaRoot{}, structureErrorf("pages of two sizes")
	case newer.commit-older.commit != 1:
		return metaRoot{}, structureErrorf("the root pages belong to the commits %d and %d", older.commit, newer.commit)
	case newer.pages > uint64(v.size)/v.pageSize:
		return metaRoot{}, structureErrorf("truncated: %d bytes for %d pages", v.size, newer.pages)
	}
	v.pages = newer.pages
	return newer, nil
}

func (v *verifier) rootAt(id uint64, offset int64) (metaRoot, error) {
	page := make([]byte, pageHeaderSize+metaSize)
	if _, err := v.file.ReadAt(page, offset); errors.Is(err, io.EOF) {
		return metaRoot{}, structureErrorf("truncated: %d bytes", v.size)
	} else if err != nil {
		return metaRoot{}, err
	}
	order, meta := binary.NativeEndian, page[pageHeaderSize:]
	sum := fnv.New64a()
	_, _ = sum.Write(meta[:metaSize-8])
	switch {
	case order.Uint64(page) != id, order.Uint16(page[8:]) != metaPage,
		order.Uint32(meta) != boltMagic, order.Uint64(meta[metaSize-8:]) != sum.Sum64():
		return metaRoot{}, structureErrorf("root page %d is damaged", id)
	case order.Uint32(meta[4:]) != boltVersion:
		return metaRoot{}, structureErrorf("version %d of bbolt", order.Uint32(meta[4:]))
	}
	return metaRoot{
		pageSize: order.Uint32(meta[8:]),
		root:     order.Uint64(meta[16:]),
		freeList: order.Uint64(meta[32:]),
		pages:    order.Uint64(meta[40:]),
		commit:   order.Uint64(meta[48:]),
	}, nil
}

// claim records a reference to n pages. They must exist, and no other reference to them may.
func (v *verifier) claim(id, n uint64) error {
	if id >= v.pages || n > v.pages-id {
		return structureErrorf("a reference to page %d of %d", id, v.pages)
	}
	for ; n > 0; id, n = id+1, n-1 {
		if v.used[id/64]>>(id%64)&1 != 0 {
			return structureErrorf("page %d is used twice", id)
		}
		v.used[id/64] |= 1 << (id % 64)
	}
	return nil
}

// page is a page with its overflow pages, or a small bucket in a leaf.
type page struct {
	id    uint64
	flags uint16
	count int
	data  []byte
}

func parsePage(data []byte) page {
	order := binary.NativeEndian
	return page{
		id:    order.Uint64(data),
		flags: order.Uint16(data[8:]),
		count: int(order.Uint16(data[10:])),
		data:  data,
	}
}

// read claims and reads a page.
func (v *verifier) read(id uint64) (page, error) {
	if id < 2 || id >= v.pages {
		return page{}, structureErrorf("a reference to page %d of %d", id, v.pages)
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
		return page{}, structureErrorf("page %d has the id %d", id, p.id)
	}
	return p, nil
}

// freeList claims every page in the list of free pages.
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
		return structureErrorf("page %d is not a list of free pages", id)
	}
	if n == math.MaxUint16 { // the count does not fit, and is the first number of the list
		n = binary.NativeEndian.Uint64(ids)
		ids = ids[8:]
	}
	if n > uint64(len(ids))/8 {
		return structureErrorf("a list of %d free pages", n)
	}
	for i := range n {
		if err := v.claim(binary.NativeEndian.Uint64(ids[8*i:]), 1); err != nil {
			return err
		}
	}
	return nil
}

// keyRange bounds the keys of a page: low <= key < high. A nil high means no bound.
type keyRange struct{ low, high []byte }

func (r keyRange) contains(key []byte) bool {
	return bytes.Compare(key, r.low) >= 0 && (r.high == nil || bytes.Compare(key, r.high) < 0)
}

// visitor is called with the flags and the value of each element of a leaf.
type visitor func(flags uint32, value []byte) error

// tree checks the pages of one bucket. The keys rise and lie within the bounds that the parent page
// sets, so that bbolt finds every key.
func (v *verifier) tree(id uint64, bounds keyRange, depth int, visit visitor) error {
	if depth > maxDepth {
		return structureErrorf("a tree of more than %d levels", maxDepth)
	}
	p, err := v.read(id)
	if err != nil {
		return err
	}
	switch p.flags {
	case leafPage:
		return p.leaf(bounds, visit)
	case branchPage:
		return v.branch(p, bounds, depth, visit)
	default:
		return structureErrorf("page %d has the kind %x", id, p.flags)
	}
}

// branch checks the elements of a branch page and the pages below it.
func (v *verifier) branch(p page, bounds keyRange, depth int, visit visitor) error {
	if p.count == 0 {
		return structureErrorf("branch page %d is empty", p.id)
	}
	order := binary.NativeEndian
	keys, children := make([][]byte, p.count+1), make([]uint64, p.count)
	for i := range p.count {
		at, err := p.element(i)
		if err != nil {
			return err
		}
		children[i] = order.Uint64(p.data[at+8:])
		if keys[i], err = p.slice(at, order.Uint32(p.data[at:]), order.Uint32(p.data[at+4:])); err != nil {
			return err
		}
		if i > 0 && bytes.Compare(keys[i-1], keys[i]) >= 0 || !bounds.contains(keys[i]) {
			return structureErrorf("the keys of page %d are out of order", p.id)
		}
	}
	keys[p.count] = bounds.high
	for i, child := range children {
		if err := v.tree(child, keyRange{keys[i], keys[i+1]}, depth+1, visit); err != nil {
			return err
		}
	}
	return nil
}

// leaf checks the elements of a leaf and calls visit for each.
func (p page) leaf(bounds keyRange, visit visitor) error {
	order := binary.NativeEndian
	var last []byte
	for i := range p.count {
		at, err := p.element(i)
		if err != nil {
			return err
		}
		pos, keySize, valueSize := order.Uint32(p.data[at+4:]), order.Uint32(p.data[at+8:]), order.Uint32(p.data[at+12:])
		key, err := p.slice(at, pos, keySize)
		if err != nil {
			return err
		}
		if i > 0 && bytes.Compare(last, key) >= 0 || !bounds.contains(key) {
			return structureErrorf("the keys of page %d are out of order", p.id)
		}
		last = key
		if valueSize > math.MaxUint32-keySize {
			return structureErrorf("page %d has an element that is too large", p.id)
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

// element returns the offset of the i-th element.
func (p page) element(i int) (at int, err error) {
	at = pageHeaderSize + i*elementSize
	if at+elementSize > len(p.data) {
		return 0, structureErrorf("page %d has %d elements, more than fit", p.id, p.count)
	}
	return at, nil
}

// slice returns size bytes of the page that begin pos bytes after the element at offset at. Such
// bytes come after all elements.
func (p page) slice(at int, pos, size uint32) ([]byte, error) {
	begin := uint64(at) + uint64(pos)
	if begin < uint64(pageHeaderSize+p.count*elementSize) || begin+uint64(size) > uint64(len(p.data)) {
		return nil, structureErrorf("page %d has an element outside of the page", p.id)
	}
	return p.data[begin : begin+uint64(size)], nil
}

// bucket checks one of our buckets, an element of a leaf of the root bucket.
func (v *verifier) bucket(flags uint32, value []byte) error {
	if flags != bucketElement || len(value) < bucketHeaderSize {
		return structureErrorf("the root bucket contains a value that is not a bucket")
	}
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		return v.tree(root, keyRange{}, 0, plainValue)
	}
	inline := value[bucketHeaderSize:]
	if len(inline) < pageHeaderSize {
		return structureErrorf("a bucket of %d bytes", len(inline))
	}
	if p := parsePage(inline); p.flags == leafPage {
		return p.leaf(keyRange{}, plainValue)
	}
	return structureErrorf("a small bucket that is not a leaf")
}

// plainValue refuses a bucket.
func plainValue(flags uint32, _ []byte) error {
	if flags != 0 {
		return structureErrorf("a bucket in a bucket")
	}
	return nil
}
