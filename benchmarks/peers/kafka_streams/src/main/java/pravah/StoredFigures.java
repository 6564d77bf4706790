package pravah;

import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;

/** Every figure of every level is a row of the store, which an event reads and writes: the plain way to keep state in Kafka Streams. */
final class StoredFigures extends Figures {
    /** Keys of the store by ancestor and metric: level, unit, metric and day as ClickHouse reads them. */
    private final Days<Bytes[][]> keys = new Days<>(this::keys);
    private final Map<Bytes, Long> changed = new HashMap<>();

    StoredFigures(Rules rules, Hierarchy hierarchy, ClickHouse clickhouse, Progress progress) {
        super(rules, hierarchy, clickhouse, progress);
    }

    @Override
    void clear() {
        keys.clear();
        changed.clear();
    }

    @Override
    void add(Event event) {
        Bytes[][] above = keys.on(event.unit, event.day);
        if (above != null) {
            for (int place = 0; place < event.size; place++) {
                for (Bytes[] ancestor : above) {
                    Bytes key = ancestor[event.metrics[place]];
                    byte[] stored = store.get(key);
                    long value = (stored == null ? 0 : ByteBuffer.wrap(stored).getLong()) + event.amounts[place];
                    store.put(key, ByteBuffer.allocate(Long.BYTES).putLong(value).array());
                    changed.put(key, value);
                }
            }
        }
    }

    @Override
    void changes(long version) {
        changed.forEach((key, value) -> rows.add(key.get()).add(partition, 4).add(value, 8).add(version, 8));
        changed.clear();
    }

    @Override
    void opened(KeyValue<Bytes, byte[]> stored) {
        changed.put(stored.key, ByteBuffer.wrap(stored.value).getLong());
    }

    private Bytes[][] keys(String unit, int day) {
        return above(unit, day).stream().map(span -> keys(span.levelAndUnit(), day)).toArray(Bytes[][]::new);
    }

    private Bytes[] keys(byte[] levelAndUnit, int day) {
        Bytes[] made = new Bytes[metrics.length];
        for (int metric = 0; metric < made.length; metric++) {
            made[metric] = Bytes.wrap(new ClickHouse.Rows(64).add(levelAndUnit).add(metrics[metric]).add(day, 2).take());
        }
        return made;
    }
}
