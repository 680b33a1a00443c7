package guard

import "slices"

// Operations are the operations of an API, in document order. Generated code adds each of them once:
// its guards and the list for audits are made from that.
type Operations struct {
	operations []*Operation
	aliases    map[*Operation][]string
}

// Add adds an operation, and returns its address, which the guard is bound to. aliases are its other
// paths. Add is for the initialization of package variables: it is not safe for concurrent use.
func (o *Operations) Add(operation Operation, aliases ...string) *Operation {
	added := &operation
	o.operations = append(o.operations, added)
	if len(aliases) > 0 {
		if o.aliases == nil {
			o.aliases = map[*Operation][]string{}
		}
		o.aliases[added] = aliases
	}
	return added
}

// All returns the operations, in the order in which they were added.
func (o *Operations) All() []*Operation { return slices.Clone(o.operations) }

// List returns deep copies of the operations, each once for every path.
func (o *Operations) List() []Operation {
	list := []Operation{}
	for _, operation := range o.operations {
		for _, path := range append([]string{operation.Path}, o.aliases[operation]...) {
			listed := operation.Clone()
			listed.Path = path
			list = append(list, listed)
		}
	}
	return list
}
