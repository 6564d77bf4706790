package pravah;

import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiFunction;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;

/** The figures of one partition, which go to ClickHouse every second: absolute values, of which the newest counts. What is in the store is made ready by {@code opened} after a restart, and written anew. */
abstract class Figures implements Processor<byte[], byte[], Void, Void> {
    static final String STORE = "figures";

    final byte[][] metrics;
    final ClickHouse.Rows rows = new ClickHouse.Rows(1 << 20);
    KeyValueStore<Bytes, byte[]> store;
    int partition;
    private final Hierarchy hierarchy;
    private final ClickHouse clickhouse;
    private final Progress progress;
    private final Event event;
    private ProcessorContext<Void, Void> context;
    private long last;

    Figures(Rules rules, Hierarchy hierarchy, ClickHouse clickhouse, Progress progress) {
        this.hierarchy = hierarchy;
        this.clickhouse = clickhouse;
        this.progress = progress;
        event = new Event(rules);
        metrics = rules.metrics.stream().map(ClickHouse.Rows::text).toArray(byte[][]::new);
    }

    /** Clear all figures. */
    abstract void clear();

    /** Restore a row of the store. */
    abstract void opened(KeyValue<Bytes, byte[]> stored);

    /** Add an event's amounts. */
    abstract void add(Event event);

    /** Append the changed figures to {@code rows}, with this version. */
    abstract void changes(long version);

    @Override
    public void init(ProcessorContext<Void, Void> context) {
        this.context = context;
        partition = context.taskId().partition();
        last = progress.last(partition);
        store = context.getStateStore(STORE);
        clear(); // a task may be opened again
        try (KeyValueIterator<Bytes, byte[]> stored = store.all()) {
            stored.forEachRemaining(this::opened);
        }
        context.schedule(Duration.ofSeconds(1), PunctuationType.WALL_CLOCK_TIME, now -> write());
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
        progress.begin();
        if (event.read(record.value())) {
            add(event);
        }
        progress.count(partition);
        if (context.recordMetadata().orElseThrow().offset() == last) {
            write();
            progress.reached(partition);
        }
    }

    @Override
    public void close() {
        write();
    }

    private void write() {
        changes(System.currentTimeMillis());
        byte[] written = rows.take();
        if (written.length > 0) {
            clickhouse.give(written);
        }
    }

    /** Cached values by unit and day. Most events of a unit are of the same day as its last. */
    final class Days<T> {
        private final Map<String, Unit<T>> units = new HashMap<>();
        private final BiFunction<String, Integer, T> made;

        Days(BiFunction<String, Integer, T> made) {
            this.made = made;
        }

        /** @return null if the unit is unknown or not open on that day */
        T on(String code, int day) {
            Unit<T> unit = units.get(code);
            if (unit != null && unit.lastDay == day) {
                return unit.last;
            }
            T found = unit == null ? null : unit.byDay.get(day);
            if (found == null) {
                if (above(code, day).isEmpty()) {
                    return null;
                }
                found = made.apply(code, day);
                unit = units.computeIfAbsent(code, name -> new Unit<>());
                unit.byDay.put(day, found);
            }
            unit.lastDay = day;
            unit.last = found;
            return found;
        }

        void clear() {
            units.clear();
        }
    }

    private static final class Unit<T> {
        final Map<Integer, T> byDay = new HashMap<>(2);
        T last;
        int lastDay = -1;
    }

    final List<Hierarchy.Span> above(String unit, int day) {
        return hierarchy.above(unit, day);
    }
}
