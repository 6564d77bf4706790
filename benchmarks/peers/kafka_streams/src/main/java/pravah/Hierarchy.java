package pravah;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The dated ancestors of units, the unit itself included. */
final class Hierarchy {
    /** Days since 1970-01-01, both inclusive. */
    record Span(String ancestor, String level, int first, int last) {
        /** As ClickHouse reads them. */
        byte[] levelAndUnit() {
            return new ClickHouse.Rows(64).add(ClickHouse.Rows.text(level)).add(ClickHouse.Rows.text(ancestor)).take();
        }
    }

    static final String QUERY = "SELECT unit, ancestor, ancestor_level, toUInt16(valid_from), toUInt16(valid_to) FROM pravah.unit_ancestors FORMAT TSV";

    private final Map<String, List<Span>> spans = new HashMap<>();

    /** @param rows the answer to {@code QUERY} */
    Hierarchy(InputStream rows) throws IOException {
        Map<String, String> once = new HashMap<>();
        try (BufferedReader reader = new BufferedReader(new InputStreamReader(rows, StandardCharsets.UTF_8))) {
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                String[] part = line.split("\t");
                Span span = new Span(once.computeIfAbsent(part[1], text -> text), once.computeIfAbsent(part[2], text -> text), Integer.parseInt(part[3]), Integer.parseInt(part[4]));
                spans.computeIfAbsent(part[0], unit -> new ArrayList<>(6)).add(span);
            }
        }
    }

    /** The unit and all above it on a day; none if it is unknown or not open. */
    List<Span> above(String unit, int day) {
        return spans.getOrDefault(unit, List.of()).stream().filter(span -> span.first() <= day && day <= span.last()).toList();
    }
}
