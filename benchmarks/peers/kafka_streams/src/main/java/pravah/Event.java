package pravah;

import com.alibaba.fastjson2.JSONException;
import com.alibaba.fastjson2.JSONReader;
import com.alibaba.fastjson2.util.Fnv;
import java.nio.charset.StandardCharsets;
import java.time.DateTimeException;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.time.ZoneId;
import java.util.Arrays;
import java.util.List;

/** What is counted of one event. Read into the same object again and again, field by field, without a tree. */
final class Event {
    private static final ZoneId KOLKATA = ZoneId.of("Asia/Kolkata");
    private static final long UNIT = Fnv.hashCode64("unit");
    private static final long KIND = Fnv.hashCode64("kind");
    private static final long OCCURRED_AT = Fnv.hashCode64("occurred_at");
    private static final long DATA = Fnv.hashCode64("data");
    private static final long ACTIVE = Fnv.hashCode64("active");

    String unit;
    /** Days since 1970-01-01, in Asia/Kolkata. */
    int day;
    /** How many amounts it gives: {@code metrics[i]} gets {@code amounts[i]}. */
    int size;
    final int[] metrics;
    final long[] amounts;

    private final Rules rules;
    private final JSONReader.Context context = new JSONReader.Context();
    private final long[] hashes;
    /** For each of {@code hashes}: the number of a text, or of a number beyond them. */
    private final int[] places;
    private final String[] texts;
    private final long[] numbers;
    private final boolean[] given;
    private boolean active;

    Event(Rules rules) {
        this.rules = rules;
        metrics = new int[rules.metrics.size()];
        amounts = new long[rules.metrics.size()];
        texts = new String[rules.texts.size()];
        numbers = new long[rules.numbers.size()];
        given = new boolean[rules.numbers.size()];
        List<String> names = new java.util.ArrayList<>(rules.texts);
        names.addAll(rules.numbers);
        hashes = names.stream().mapToLong(Fnv::hashCode64).sorted().toArray();
        places = new int[names.size()];
        for (int place = 0; place < places.length; place++) {
            places[Arrays.binarySearch(hashes, Fnv.hashCode64(names.get(place)))] = place;
        }
    }

    /** Read one record's value. @return false if it is none that counts */
    boolean read(byte[] value) {
        unit = null;
        size = 0;
        String kind = null;
        String occurredAt = null;
        boolean data = false;
        if (value == null || value.length == 0) {
            return false;
        }
        try (JSONReader reader = JSONReader.of(value, 0, value.length, StandardCharsets.UTF_8, context)) {
            if (!reader.nextIfObjectStart()) {
                return false;
            }
            while (!reader.nextIfObjectEnd()) {
                long name = reader.readFieldNameHashCode();
                if (name == UNIT) {
                    unit = reader.readString();
                } else if (name == KIND) {
                    kind = reader.readString();
                } else if (name == OCCURRED_AT) {
                    occurredAt = reader.readString();
                } else if (name == DATA && reader.nextIfObjectStart()) {
                    readData(reader);
                    data = true;
                } else {
                    reader.skipValue();
                }
            }
            if (unit == null || kind == null || occurredAt == null || !data) {
                return false;
            }
            day = day(occurredAt);
        } catch (JSONException | DateTimeException | NumberFormatException | IndexOutOfBoundsException broken) {
            return false;
        }
        for (Rules.Rule rule : rules.of(kind)) {
            if ((rule.where() < 0 || rule.value().equals(texts[rule.where()])) && (rule.field() < 0 || given[rule.field()]) && (active || !rule.endable())) {
                metrics[size] = rule.metric();
                amounts[size++] = rule.field() < 0 ? 1 : numbers[rule.field()];
            }
        }
        return size > 0;
    }

    private void readData(JSONReader reader) {
        Arrays.fill(texts, null);
        Arrays.fill(given, false);
        active = true;
        while (!reader.nextIfObjectEnd()) {
            long name = reader.readFieldNameHashCode();
            int found = Arrays.binarySearch(hashes, name);
            if (found < 0) {
                if (name == ACTIVE) {
                    active = reader.readBoolValue();
                } else {
                    reader.skipValue();
                }
            } else if (places[found] < texts.length) {
                texts[places[found]] = reader.readString();
            } else {
                numbers[places[found] - texts.length] = reader.readInt64Value();
                given[places[found] - texts.length] = true;
            }
        }
    }

    /** The day in Kolkata. Only two notations are common; the library's parser takes the others, at ten times the cost. */
    private static int day(String at) {
        boolean kolkata = at.endsWith("+05:30");
        if (at.length() < 20 || at.charAt(10) != 'T' || !(kolkata || at.endsWith("Z"))) {
            return Math.toIntExact(OffsetDateTime.parse(at).atZoneSameInstant(KOLKATA).toLocalDate().toEpochDay());
        }
        int day = (int) LocalDate.of(Integer.parseInt(at, 0, 4, 10), Integer.parseInt(at, 5, 7, 10), Integer.parseInt(at, 8, 10, 10)).toEpochDay();
        boolean next = !kolkata && Integer.parseInt(at, 11, 13, 10) * 60 + Integer.parseInt(at, 14, 16, 10) >= 18 * 60 + 30;
        return next ? day + 1 : day;
    }
}
