package pravah;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;

/** The store holds what units reported, a row for each unit and day; figures at all levels are added up from it in memory. So an event costs one write to the store, and no read. */
final class DerivedFigures extends Figures {
    /** The amounts of a unit on a day, and the figures that they add to. */
    private record Reported(Bytes key, long[] amounts, Figure[] figures) {}

    /** A figure of each metric, at one unit and day. */
    private static final class Figure {
        final byte[] levelAndUnit;
        final int day;
        final long[] values;
        /** A bit for each metric that changed since it was last written. */
        long changed;

        Figure(Hierarchy.Span span, int day, int metrics) {
            levelAndUnit = span.levelAndUnit();
            this.day = day;
            values = new long[metrics];
        }
    }

    private final Days<Reported> reports = new Days<>(this::reported);
    private final Map<String, Figure> figures = new HashMap<>();
    private final List<Figure> changed = new ArrayList<>();

    DerivedFigures(Rules rules, Hierarchy hierarchy, ClickHouse clickhouse, Progress progress) {
        super(rules, hierarchy, clickhouse, progress);
    }

    @Override
    void clear() {
        reports.clear();
        figures.clear();
        changed.clear();
    }

    @Override
    void add(Event event) {
        Reported reported = reports.on(event.unit, event.day);
        if (reported != null) {
            for (int place = 0; place < event.size; place++) {
                add(reported, event.metrics[place], event.amounts[place]);
            }
            store.put(reported.key, packed(reported.amounts));
        }
    }

    @Override
    void changes(long version) {
        for (Figure figure : changed) {
            for (long left = figure.changed; left != 0; left &= left - 1) {
                int metric = Long.numberOfTrailingZeros(left);
                rows.add(figure.levelAndUnit).add(metrics[metric]).add(figure.day, 2).add(partition, 4).add(figure.values[metric], 8).add(version, 8);
            }
            figure.changed = 0;
        }
        changed.clear();
    }

    @Override
    void opened(KeyValue<Bytes, byte[]> stored) {
        byte[] key = stored.key.get();
        int code = key.length - Integer.BYTES;
        Reported reported = reports.on(new String(key, 0, code, StandardCharsets.UTF_8), ByteBuffer.wrap(key).getInt(code));
        if (reported != null) {
            ByteBuffer packed = ByteBuffer.wrap(stored.value);
            for (long left = packed.getLong(); left != 0; left &= left - 1) {
                add(reported, Long.numberOfTrailingZeros(left), packed.getLong());
            }
        }
    }

    private Reported reported(String unit, int day) {
        byte[] code = unit.getBytes(StandardCharsets.UTF_8);
        Bytes key = Bytes.wrap(ByteBuffer.allocate(code.length + Integer.BYTES).put(code).putInt(day).array());
        Figure[] entered = above(unit, day).stream().map(span -> figures.computeIfAbsent(span.ancestor() + day, name -> new Figure(span, day, metrics.length))).toArray(Figure[]::new);
        return new Reported(key, new long[metrics.length], entered);
    }

    private void add(Reported reported, int metric, long amount) {
        reported.amounts[metric] += amount;
        for (Figure figure : reported.figures) {
            if (figure.changed == 0) {
                changed.add(figure);
            }
            figure.values[metric] += amount;
            figure.changed |= 1L << metric;
        }
    }

    /** The amounts that are not zero, after a bit mask of their metrics. */
    private static byte[] packed(long[] amounts) {
        ByteBuffer packed = ByteBuffer.allocate(Long.BYTES * (1 + amounts.length)).putLong(0);
        long present = 0;
        for (int metric = 0; metric < amounts.length; metric++) {
            if (amounts[metric] != 0) {
                present |= 1L << metric;
                packed.putLong(amounts[metric]);
            }
        }
        return Arrays.copyOf(packed.putLong(0, present).array(), packed.position());
    }
}
