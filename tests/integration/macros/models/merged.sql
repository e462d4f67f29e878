{{ lakefeed.merged_versions(ref('states'), key=['id'], columns=['city']) }}
