package streamaggregator

// Name returns what the names of the aggregator's producers at the daemon begin with.
func (aggregator *StreamAggregator) Name() string {
	return aggregator.name
}
