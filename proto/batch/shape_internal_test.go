package batch

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"google.golang.org/protobuf/reflect/protoreflect"

	"strait/proto/straitv1"
)

// The hand-written shapes say of every field what upstream.proto says, so that
// a field added there cannot be forgotten here.
func TestShapesFollowUpstreamProto(t *testing.T) {
	compareShape(t, eventShape, (*straitv1.Event)(nil).ProtoReflect().Descriptor())
	compareShape(t, commandShape, (*straitv1.Command)(nil).ProtoReflect().Descriptor())
}

func compareShape(t *testing.T, s *shape, d protoreflect.MessageDescriptor) {
	t.Helper()
	assert.EqualValues(t, d.Name(), s.name)
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		var got fieldShape
		if int(f.Number()) < len(s.fields) {
			got = s.fields[f.Number()]
		}
		want := anything
		switch {
		case f.Message() != nil:
			want = nested
		case f.Kind() == protoreflect.StringKind:
			want = text
		case f.IsList():
			want = varints
		}
		if !assert.Equal(t, want, got.kind, f.FullName()) || want == anything {
			continue
		}
		assert.EqualValues(t, f.Name(), got.name)
		if want == nested {
			compareShape(t, got.of, f.Message())
		}
	}
	for num, f := range s.fields {
		if f.kind != anything {
			assert.NotNil(t, d.Fields().ByNumber(protoreflect.FieldNumber(num)), "%s.%s", s.name, f.name)
		}
	}
}
