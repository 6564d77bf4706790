package pravah;

import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLongArray;

/** The progress of the partitions towards the end that the log had at the start. */
final class Progress {
    private static final int STRIDE = 16; // counts of two threads not in one cache line

    private final Map<Integer, Long> last;
    private final AtomicLongArray counts;
    private final CountDownLatch left;
    private volatile long began;

    /** @param last partition to the last offset that is to be read, for those where something is left */
    Progress(Map<Integer, Long> last, int partitions) {
        this.last = last;
        counts = new AtomicLongArray(partitions * STRIDE);
        left = new CountDownLatch(last.size());
    }

    long last(int partition) {
        return last.getOrDefault(partition, -1L);
    }

    void begin() {
        if (began == 0) {
            synchronized (this) {
                began = began == 0 ? System.nanoTime() : began;
            }
        }
    }

    void count(int partition) {
        counts.setRelease(partition * STRIDE, counts.getPlain(partition * STRIDE) + 1);
    }

    void reached(int partition) {
        left.countDown();
    }

    boolean done(long millis) throws InterruptedException {
        return left.await(millis, TimeUnit.MILLISECONDS);
    }

    long events() {
        long events = 0;
        for (int place = 0; place < counts.length(); place += STRIDE) {
            events += counts.getAcquire(place);
        }
        return events;
    }

    /** Seconds since the first record, 0 before it. */
    double seconds() {
        return began == 0 ? 0 : (System.nanoTime() - began) / 1e9;
    }
}
