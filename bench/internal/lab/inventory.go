package lab

import (
	"context"

	"fanout/bench/internal/hint"
	"fanout/bench/internal/objects"
)

// InventoryBucket is where [Lab.Inventory] puts its list: not among the objects
// that it lists.
const InventoryBucket = Bucket + "-inventory"

// Inventory makes an S3 Inventory list of the bucket as it is now, and gives the
// bucket and key of its manifest.json. It may be called once. progress, unless
// nil, hears how many objects are listed. The error has a hint.
func (l *Lab) Inventory(ctx context.Context, progress func(done, total int)) (bucket, key string, err error) {
	if err := l.S3.CreateBucket(InventoryBucket); err != nil {
		return "", "", err
	}
	inv := objects.Inventory{Bucket: Bucket, Destination: InventoryBucket}
	if progress != nil {
		inv.Progress = func(listed int) { progress(listed, l.corpus.Count) }
	}
	key, err = l.S3.PutInventory(ctx, inv)
	if err != nil {
		if ctx.Err() != nil {
			return "", "", hint.Failed("nothing was measured yet", "interrupted")
		}
		return "", "", hint.Failed("check TMPDIR's free space", "%w", err)
	}
	return InventoryBucket, key, nil
}
