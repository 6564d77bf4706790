package pravah;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * The figures of one partition. The store holds what units reported, a row for each unit and day; figures at all levels are added up from it in memory, and made anew from it after a restart.
 * So an event costs one write to the store, and no read.
 */
final class Figures implements Processor<byte[], byte[], Void, Void> {
    static final String STORE = "reported";

    /** What a unit reported on a day, and the figures that this enters. */
    private record Reported(Bytes key, long[] amounts, Figure[] figures) {}

    /** A figure of each metric, at one unit and day. */
    private static final class Figure {
        final byte[] levelAndUnit;
        final int day;
        final long[] values;
        /** A bit for each metric that changed since it was last written. */
        long changed;

        Figure(Hierarchy.Span span, int day, int metrics) {
            byte[] level = ClickHouse.Rows.text(span.level());
            byte[] unit = ClickHouse.Rows.text(span.ancestor());
            levelAndUnit = ByteBuffer.allocate(level.length + unit.length).put(level).put(unit).array();
            this.day = day;
            values = new long[metrics];
        }
    }

    /** The days of one unit; most events are of the same day as the last. */
    private static final class Days {
        final Map<Integer, Reported> byDay = new HashMap<>(2);
        Reported last;
        int lastDay = -1;

        Reported on(int day) {
            if (day != lastDay) {
                last = byDay.get(day);
                lastDay = day;
            }
            return last;
        }
    }

    private final Hierarchy hierarchy;
    private final ClickHouse clickhouse;
    private final Progress progress;
    private final Event event;
    private final byte[][] metrics;
    private final Map<String, Days> units = new HashMap<>();
    private final Map<String, Figure> figures = new HashMap<>();
    private final List<Figure> changed = new ArrayList<>();
    private final ClickHouse.Rows rows = new ClickHouse.Rows();
    private final int width;
    private ProcessorContext<Void, Void> context;
    private KeyValueStore<Bytes, byte[]> store;
    private int partition;
    private long last;

    Figures(Rules rules, Hierarchy hierarchy, ClickHouse clickhouse, Progress progress) {
        this.hierarchy = hierarchy;
        this.clickhouse = clickhouse;
        this.progress = progress;
        event = new Event(rules);
        metrics = rules.metrics.stream().map(ClickHouse.Rows::text).toArray(byte[][]::new);
        width = metrics.length;
    }

    @Override
    public void init(ProcessorContext<Void, Void> context) {
        this.context = context;
        partition = context.taskId().partition();
        last = progress.last(partition);
        store = context.getStateStore(STORE);
        units.clear(); // a task may be opened again
        figures.clear();
        changed.clear();
        try (KeyValueIterator<Bytes, byte[]> stored = store.all()) {
            while (stored.hasNext()) {
                restore(stored.next());
            }
        }
        context.schedule(Duration.ofSeconds(1), PunctuationType.WALL_CLOCK_TIME, now -> write());
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
        progress.begin();
        if (event.read(record.value())) {
            Reported reported = reported(event.unit, event.day);
            if (reported != null) {
                for (int place = 0; place < event.size; place++) {
                    reported.amounts[event.metrics[place]] += event.amounts[place];
                    add(reported.figures, event.metrics[place], event.amounts[place]);
                }
                store.put(reported.key, packed(reported.amounts));
            }
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

    /** @return null if the unit is unknown or not open on that day */
    private Reported reported(String unit, int day) {
        Days days = units.get(unit);
        Reported found = days == null ? null : days.on(day);
        if (found != null) {
            return found;
        }
        List<Hierarchy.Span> above = hierarchy.above(unit, day);
        if (above.isEmpty()) {
            return null;
        }
        Figure[] entered = above.stream().map(span -> figures.computeIfAbsent(span.ancestor() + day, key -> new Figure(span, day, width))).toArray(Figure[]::new);
        byte[] code = unit.getBytes(StandardCharsets.UTF_8);
        Bytes key = Bytes.wrap(ByteBuffer.allocate(code.length + Integer.BYTES).put(code).putInt(day).array());
        found = new Reported(key, new long[width], entered);
        days = units.computeIfAbsent(unit, name -> new Days());
        days.byDay.put(day, found);
        days.lastDay = -1;
        return found;
    }

    private void add(Figure[] entered, int metric, long amount) {
        for (Figure figure : entered) {
            if (figure.changed == 0) {
                changed.add(figure);
            }
            figure.values[metric] += amount;
            figure.changed |= 1L << metric;
        }
    }

    /** Everything that changed, to ClickHouse: absolute values, of which the newest counts. */
    private void write() {
        if (changed.isEmpty()) {
            return;
        }
        long version = System.currentTimeMillis();
        for (Figure figure : changed) {
            for (long left = figure.changed; left != 0; left &= left - 1) {
                int metric = Long.numberOfTrailingZeros(left);
                rows.add(figure.levelAndUnit).add(metrics[metric]).add(figure.day, 2).add(partition, 4).add(figure.values[metric], 8).add(version, 8);
            }
            figure.changed = 0;
        }
        changed.clear();
        clickhouse.give(rows.take());
    }

    /** The amounts that are not zero, behind a number that says which these are. */
    private static byte[] packed(long[] amounts) {
        long present = 0;
        for (int metric = 0; metric < amounts.length; metric++) {
            if (amounts[metric] != 0) {
                present |= 1L << metric;
            }
        }
        ByteBuffer packed = ByteBuffer.allocate(Long.BYTES * (1 + Long.bitCount(present))).putLong(present);
        for (long left = present; left != 0; left &= left - 1) {
            packed.putLong(amounts[Long.numberOfTrailingZeros(left)]);
        }
        return packed.array();
    }

    private void restore(KeyValue<Bytes, byte[]> stored) {
        byte[] key = stored.key.get();
        Reported reported = reported(new String(key, 0, key.length - Integer.BYTES, StandardCharsets.UTF_8), ByteBuffer.wrap(key).getInt(key.length - Integer.BYTES));
        if (reported == null) {
            return;
        }
        ByteBuffer packed = ByteBuffer.wrap(stored.value);
        for (long left = packed.getLong(); left != 0; left &= left - 1) {
            int metric = Long.numberOfTrailingZeros(left);
            reported.amounts[metric] = packed.getLong();
            add(reported.figures, metric, reported.amounts[metric]);
        }
    }
}
